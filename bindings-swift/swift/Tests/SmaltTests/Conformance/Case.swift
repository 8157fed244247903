import Foundation

@testable import Smalt

// The Swift driver of the conformance cases: see tests/conformance/README.md.

/// In a case, or of this driver.
struct Mistake: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A case does not hold.
struct Broken: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

typealias Args = [String: JSON]

struct Case: Sendable {
    private static let steps: Set = [
        "do", "note", "as", "args", "save", "expect", "error", "repeat", "parallel", "outcomes", "eventually",
    ]
    private static let keys: Set = ["version", "id", "title", "tags", "environment", "project", "manifests", "clock", "steps"]

    let json: Args
    let id: String
    let steps: [Args]

    var verbs: [String] { steps.compactMap { $0["do"]?.string } }

    init(_ path: URL) throws {
        json = try JSONDecoder().decode(Args.self, from: Data(contentsOf: path))
        id = json["id"]?.string ?? ""
        steps = json["steps"]?.array?.compactMap(\.object) ?? []
        let unknown = Set(json.keys).subtracting(Self.keys).union(Set(steps.flatMap(\.keys)).subtracting(Self.steps))
        guard json["version"] == 1 else { throw Mistake("\(path.path): this driver knows version 1 only") }
        guard unknown.isEmpty, id == path.deletingPathExtension().lastPathComponent, steps.count == json["steps"]?.array?.count else {
            throw Mistake("\(path.path): unknown keys \(unknown), or another id")
        }
    }
}

/// RFC 7396.
func merge(_ target: JSON?, _ patch: JSON) -> JSON {
    guard case .object(let patch) = patch else { return patch }
    var merged = target?.object ?? [:]
    for (key, value) in patch {
        if value == .null { merged[key] = nil } else { merged[key] = merge(merged[key], value) }
    }
    return .object(merged)
}

func fill(_ value: JSON, _ saved: Args) throws -> JSON {
    func named(_ name: Substring) throws -> JSON {
        guard let found = saved[String(name)] else { throw Mistake("`${\(name)}` was not saved") }
        return found
    }
    switch value {
    case .array(let items): return .array(try items.map { try fill($0, saved) })
    case .object(let entries): return .object(try entries.mapValues { try fill($0, saved) })
    case .string(let text):
        if let whole = text.wholeMatch(of: /\$\{([^}]*)\}/) { return try named(whole.1) }
        return .string(try text.replacing(/\$\{([^}]*)\}/) { words(try named($0.1)) })
    default: return value
    }
}

/// A text as it is, everything else as JSON.
func words(_ value: JSON) -> String { value.string ?? written(value) }

func written(_ value: JSON) -> String { (try? Codec.data(value)).map { String(decoding: $0, as: UTF8.self) } ?? "?" }

private func pointer(_ value: JSON, _ path: String) throws -> JSON {
    var at: JSON? = value
    for part in path.split(separator: "/", omittingEmptySubsequences: false).dropFirst() {
        let name = part.replacing("~1", with: "/").replacing("~0", with: "~")
        if case .array = at { at = Int(name).flatMap { at?[$0] } } else { at = at?[String(name)] }
    }
    // What is `nil` here is not written.
    return at ?? .null
}

/// How a step ended once.
enum Ended: Sendable {
    case well(JSON)
    case badly(SmaltError)
}

/// Runs a case; throws when it does not hold.
func run(_ one: Case, _ world: any World) async throws {
    var saved = world.given
    for (index, step) in one.steps.enumerated() {
        do {
            try await take(world, step, &saved)
        } catch let why where why is Broken || why is Differs || why is Mistake {
            throw Broken("step \(index + 1) (\(step["do"]?.string ?? "?")): \(why)")
        }
    }
}

private func take(_ world: any World, _ step: Args, _ saved: inout Args) async throws {
    var filled = step
    for key in ["args", "as", "expect", "error"] { filled[key] = try step[key].map { try fill($0, saved) } }
    let until = ContinuousClock.now + .seconds(30)
    while true {
        let ends = try await limited(world, filled)
        do {
            try check(filled, ends)
            for (name, path) in filled["save"]?.object ?? [:] {
                guard case .well(let answer)? = ends.last else { throw Broken("there is no answer to save from") }
                saved[name] = try pointer(answer, path.string ?? "")
            }
            return
        } catch let why where why is Broken || why is Differs {
            guard filled["eventually"]?.bool == true, ContinuousClock.now < until else { throw why }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}

/// The program of bad networks says how long a step may take; cases of conformance don't.
private func limited(_ world: any World, _ step: Args) async throws -> [Ended] {
    guard let longest = step["within"]?.double else { return try await act(world, step) }
    do {
        return try await within(.seconds(longest)) { try await act(world, step) }
    } catch is TookTooLong {
        throw Broken("it did not end within \(longest) s")
    }
}

private func act(_ world: any World, _ step: Args) async throws -> [Ended] {
    guard let verb = step["do"]?.string else { throw Mistake("a step does nothing") }
    let (authority, args) = (step["as"], step["args"]?.object ?? [:])
    @Sendable func once() async throws -> Ended {
        do { return .well(try await world.perform(verb, authority, args)) } catch let error as SmaltError { return .badly(error) }
    }
    guard let parallel = step["parallel"]?.int else {
        var ends: [Ended] = []
        for _ in 0..<(step["repeat"]?.int ?? 1) { ends.append(try await once()) }
        return ends
    }
    return try await withThrowingTaskGroup(of: Ended.self) { group in
        for _ in 0..<parallel { group.addTask { try await once() } }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}

private func check(_ step: Args, _ ends: [Ended]) throws {
    if let outcomes = step["outcomes"]?.object {
        var got: [String: Int] = [:]
        for end in ends {
            if case .badly(let error) = end { got[error.code.rawValue, default: 0] += 1 } else { got["ok", default: 0] += 1 }
        }
        if got != outcomes.compactMapValues(\.int) { throw Broken("expected the outcomes \(outcomes), got \(got)") }
        return
    }
    for end in ends { try check(step, end) }
}

private func check(_ step: Args, _ end: Ended) throws {
    let wanted = step["error"]?.object
    switch end {
    case .well(let answer):
        if let wanted { throw Broken("expected the error \(wanted["code"] ?? .null), got \(written(answer))") }
        if let expected = step["expect"] { try match(expected, answer) }
    case .badly(let error):
        guard let wanted else { throw Broken("expected an answer, got the error \(error) \(error.context)") }
        let unknown = Set(wanted.keys).subtracting(["code", "context", "retry_after", "without"])
        if !unknown.isEmpty { throw Mistake("unknown keys \(unknown)") }
        if wanted["code"]?.string != error.code.rawValue { throw Broken("expected the error \(wanted["code"] ?? .null), got \(error)") }
        if let context = wanted["context"] { try match(context, JSON(error.context)) }
        if let retryAfter = wanted["retry_after"] {
            try match(retryAfter, error.retryAfter.map { .integer(Int($0.components.seconds)) } ?? .null)
        }
        for text in wanted["without"]?.array ?? [] where reveals(error, text.string ?? "") {
            throw Broken("`\(text)` stands in the error \(error)")
        }
    }
}

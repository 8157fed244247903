import Foundation

@testable import Smalt

/// Where and how an answer differs from what a case expects.
struct Differs: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Whether an answer is what a case expects; throws ``Differs`` otherwise. Swift's values do not write what is `nil`: what is not there is
/// `null`, too.
func match(_ wanted: JSON, _ got: JSON) throws { try match("", wanted, got) }

private func match(_ path: String, _ wanted: JSON, _ got: JSON?) throws {
    if case .object(let entries) = wanted, entries.keys.contains(where: { $0.hasPrefix("$") }) {
        for (key, value) in entries { try special(path, key, value, got) }
        return
    }
    let place = path.isEmpty ? "the answer" : path
    let differs = Differs("\(place): expected \(written(wanted)), got \(got.map(written) ?? "nothing")")
    switch (wanted, got) {
    case (.null, nil): return
    case (.object(let wanted), .object(let got)?):
        for (key, inner) in wanted { try match("\(path)/\(key)", inner, got[key]) }
    case (.array(let wanted), .array(let got)?):
        if wanted.count != got.count { throw differs }
        for (index, inner) in wanted.enumerated() { try match("\(path)/\(index)", inner, got[index]) }
    case (.integer, _), (.number, _): if got?.double != wanted.double { throw differs }
    default: if wanted != got { throw differs }
    }
}

private func special(_ path: String, _ key: String, _ given: JSON, _ got: JSON?) throws {
    let place = path.isEmpty ? "the answer" : path
    if key == "$absent" {
        if got != nil && got != .null { throw Differs("\(place): expected nothing, got \(written(got ?? .null))") }
        return
    }
    guard let got else { throw Differs("\(place): expected {\(key): \(written(given))}, but there is nothing") }
    let fits: Bool
    switch key {
    case "$any": fits = true
    case "$type": fits = given.string == kind(got)
    case "$match": fits = got.string.map { globs(given.string ?? "", $0) } ?? false
    case "$len": fits = given.int != nil && given.int == length(got)
    case "$contains": return try contains(place, given, got)
    case "$exact":
        if case .object(let wanted) = given {
            guard case .object(let its) = got, Set(its.filter { $0.value != .null }.keys).isSubset(of: wanted.keys) else {
                throw Differs("\(place): expected exactly \(written(given)), got \(written(got))")
            }
        }
        return try match(path, given, got)
    case "$not": fits = (try? match(path, given, got)) == nil
    default: throw Mistake("\(place): `\(key)` is no matcher")
    }
    if !fits { throw Differs("\(place): expected {\(key): \(written(given))}, got \(written(got))") }
}

/// `*` stands for any number of characters, everything else for itself.
private func globs(_ pattern: String, _ text: String) -> Bool {
    let parts = pattern.components(separatedBy: "*")
    guard let first = parts.first, let last = parts.last, text.hasPrefix(first) else { return false }
    if parts.count == 1 { return text == pattern }
    var rest = text.dropFirst(first.count)
    for part in parts.dropFirst().dropLast() where !part.isEmpty {
        guard let found = rest.range(of: part) else { return false }
        rest = rest[found.upperBound...]
    }
    return rest.hasSuffix(last)
}

private func contains(_ place: String, _ given: JSON, _ got: JSON) throws {
    let parts = given.array ?? [given]
    if let text = got.string {
        guard parts.allSatisfy({ $0.string.map { text.contains($0) } ?? false }) else {
            throw Differs("\(place): expected a text with \(written(given)), got \(text)")
        }
        return
    }
    guard let items = got.array else { throw Differs("\(place): expected a list with \(written(given)), got \(written(got))") }
    for part in parts where !items.contains(where: { (try? match(part, $0)) != nil }) {
        throw Differs("\(place): no member matches \(written(part)): \(written(got))")
    }
}

private func kind(_ json: JSON) -> String {
    switch json {
    case .null: "null"
    case .bool: "boolean"
    case .integer, .number: "number"
    case .string: "string"
    case .array: "array"
    case .object: "object"
    }
}

private func length(_ json: JSON) -> Int? {
    switch json {
    case .array(let items): items.count
    case .object(let entries): entries.count
    case .string(let text): text.unicodeScalars.count
    default: nil
    }
}

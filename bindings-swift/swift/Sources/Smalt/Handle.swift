import Foundation
import SmaltGlue

/// An engine, a handle on a server, or a session at one, as the native half knows it. It is let go of with its last handle.
final class Engine: Sendable {
    let number: UInt64
    let home: Home?
    /// Where credentials come from memory.
    let seats: Seats?
    private let hasStore: Bool
    private let closed = Locked(false)

    /// How many were not let go of.
    static let open = Locked(0)

    init(_ number: UInt64, _ home: Home?, hasStore: Bool) {
        (self.number, self.home, self.hasStore) = (number, home, hasStore)
        seats = hasStore ? Seats(number) : nil
        Engine.open.with { $0 += 1 }
        home?.engine.with { $0 = Weak(object: self) }
    }

    deinit { if !closing() { release() } }

    /// Whether it was closed before.
    private func closing() -> Bool {
        closed.with { closed in
            defer { closed = true }
            return closed
        }
    }

    /// Writes what is outstanding, and lets go of it. Again is nothing.
    func close() async {
        if closing() { return }
        if hasStore {
            // Whoever closes in a cancelled task has it closed all the same.
            let number = number
            _ = try? await Task {
                try await Port.shared.call { try callStart(engine: number, number: $0, call: Data(#"{"op":"close"}"#.utf8)) }
            }.value
        }
        release()
    }

    private func release() {
        seats?.clear()
        engineRelease(engine: number)
        Engine.open.with { $0 -= 1 }
        if let home { Homes.shared.remove(home) }
    }
}

/// An engine that is opened by the first call.
final class Later: Sendable {
    typealias Opened = (engine: Engine, token: Secret?)
    private let open: @Sendable () async throws -> Opened
    private let opening = Locked(Task<Opened, any Error>?.none)

    init(_ open: @escaping @Sendable () async throws -> Opened) { self.open = open }

    func opened() async throws -> Opened {
        let open = open
        let task = opening.with { opening in
            let task = opening ?? Task { try await open() }
            opening = task
            return task
        }
        return try await task.value
    }
}

/// What is asked of an engine, in whose name, and how long it may take. It says nothing to users: ``Smalt``, ``Account`` and ``Session``
/// hold one.
public struct Handle: Sendable {
    enum Way: Sendable {
        case open(Engine)
        case later(Later)
    }

    let way: Way
    var token: Secret?
    var actor: String?
    var timeout: Duration?

    init(_ way: Way, token: Secret? = nil) { (self.way, self.token) = (way, token) }

    init(_ engine: Engine, token: Secret? = nil) { self.init(.open(engine), token: token) }

    func with(token: Secret?) -> Handle {
        var made = self
        made.token = token
        return made
    }

    func with(timeout: Duration?) -> Handle {
        var made = self
        made.timeout = timeout
        return made
    }

    private func opened() async throws -> Later.Opened {
        switch way {
        case .open(let engine): return (engine, token)
        case .later(let later):
            try Task.checkCancellation()
            return try await later.opened()
        }
    }

    /// The engine, where it is open.
    var engine: Engine? { if case .open(let engine) = way { engine } else { nil } }

    private func text(_ op: String, _ token: Secret?, _ request: some Encodable, _ within: UInt64?) throws -> Data {
        let head: Fields = ["op": op, "token": token, "actor": actor, "within": within, "timeout": timeout?.inSeconds]
        return try Codec.data(head) + Codec.data(request)
    }

    /// An operation, by its name; its answer as it came.
    func answer(_ op: String, _ request: some Encodable, within: UInt64? = Within.number) async throws -> Data {
        let (engine, token) = try await opened()
        let text = try text(op, token, request, within)
        return try await Port.shared.call { try callStart(engine: engine.number, number: $0, call: text) }
    }

    /// An operation, by its name.
    func ask<Answer: Decodable>(_ op: String, _ request: Fields, within: UInt64? = Within.number) async throws -> Answer {
        try Codec.value(Answer.self, await answer(op, request, within: within))
    }

    /// An operation whose answer says nothing.
    func tell(_ op: String, _ request: Fields) async throws { _ = try await answer(op, request) }

    /// The ready operation: from memory where that can be. Code inside a plugin's call waits its turn.
    func ready(
        _ op: String, _ account: String, _ application: String, _ connection: String?, _ request: () -> Fields
    ) async throws -> Credential {
        try Task.checkCancellation()
        let (engine, token) = try await opened()
        let seats = Within.number == nil && token == nil ? engine.seats : nil
        let place = Seats.Place(actor: actor, account: account, application: application, connection: connection)
        if let seats, let ready = try seats.ready(place) { return ready }
        let request = request()
        let credential = try await waited(op, request)
        seats?.take(place) { try text(op, nil, request, nil) }
        return credential
    }

    /// The same, by a call.
    func waited(_ op: String, _ request: Fields) async throws -> Credential {
        try Packed.read(await answer(op, request)) { try $0.credential() }
    }

    /// How many bytes of an upload cross at once, at most.
    private static let part = 64 << 10

    /// A call whose body is handed over while it is under way, each part when there is room for it. The body that fails ends the call, and the
    /// call that ends the reading of the body.
    func upload<Parts: AsyncSequence & Sendable>(_ request: Fields, _ body: Parts) async throws -> ApiAnswer where Parts.Element == Data {
        let (engine, token) = try await opened()
        let text = try text("upload", token, request, Within.number)
        // Its call's number, once that is begun.
        let (numbers, begun) = AsyncStream.makeStream(of: UInt64.self)
        return try await withThrowingTaskGroup(of: Data?.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                try await Port.shared.call { number in
                    try callStart(engine: engine.number, number: number, call: text)
                    begun.yield(number)
                    begun.finish()
                }
            }
            group.addTask {
                for await number in numbers { try await give(body, to: number, of: engine) }
                return nil
            }
            while let ended = try await group.next() {
                if let ended { return try Codec.value(ended) }
            }
            throw CancellationError()
        }
    }

    /// Hands a body over to the call of this number, as long as that takes it. What is not whole then is cut off with the call.
    private func give<Parts: AsyncSequence>(_ body: Parts, to upload: UInt64, of engine: Engine) async throws where Parts.Element == Data {
        let head = try Codec.data(["op": "upload_part", "upload": upload] as Fields)
        func wanted(_ part: Data) async throws -> Bool {
            try Codec.value(await Port.shared.call { try callStart(engine: engine.number, number: $0, call: head + part) })
        }
        for try await whole in body {
            for start in stride(from: whole.startIndex, to: whole.endIndex, by: Self.part) {
                let part = whole[start..<min(start + Self.part, whole.endIndex)]
                if try await !wanted(part) { return }
            }
        }
        // An empty one is the end. A body whose reader was cancelled may end as if there were no more: then no call is begun.
        _ = try await wanted(Data())
    }
}

extension Handle: Discreet {
    /// Its name: what it holds is nobody's matter.
    public var description: String { "Handle" }
}

/// The call into a plugin from inside which code runs.
enum Within {
    @TaskLocal static var number: UInt64?
}

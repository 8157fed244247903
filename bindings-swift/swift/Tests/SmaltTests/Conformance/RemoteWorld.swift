import Foundation

@testable import Smalt
@testable import SmaltTesting

/// A server in a process of its own, and the remote backend here: the test binary of the Rust driver plays the server.
final class RemoteWorld: World {
    let room: URL
    let origin: String
    let presenter: ScriptedPresenter?
    private let server: Server
    private let key: Secret
    private let running: Locked<(url: URL, smalt: Smalt)>

    static func open(_ one: Case, _ room: URL) async throws -> RemoteWorld {
        guard let binary = ProcessInfo.processInfo.environment["SMALT_CONFORMANCE_SERVER"] else {
            throw Mistake("swift.sh names the Rust driver's test binary")
        }
        let server = try Server(binary, one.id)
        do {
            let said = try await server.line()
            guard let place = said["Ok"] else { throw Mistake("the server: \(said)") }
            return try RemoteWorld(room, server, place, ScriptedPresenter.of(one))
        } catch {
            await server.end()
            throw error
        }
    }

    private init(_ room: URL, _ server: Server, _ place: JSON, _ presenter: ScriptedPresenter?) throws {
        (self.room, self.server, self.presenter) = (room, server, presenter)
        (origin, key) = (place["sandbox"]?.string ?? "", Secret(place["key"]?.string ?? ""))
        running = Locked(try Self.reach(place["url"], key, presenter))
    }

    private static func reach(_ url: JSON?, _ key: Secret, _ presenter: ScriptedPresenter?) throws -> (URL, Smalt) {
        guard let url = url?.string.flatMap({ URL(string: $0) }) else { throw Mistake("the server did not say where it is") }
        return (url, try Smalt.remote(url, apiKey: key, options: .init(presenter: presenter, proxy: false)))
    }

    var smalt: Smalt { running.with { $0.smalt } }

    var url: URL { running.with { $0.url } }

    private func order(_ verb: String, _ token: Secret?, _ args: Args) async throws -> JSON {
        let done = try await server.order([
            "verb": .string(verb), "token": token.map { .string($0.reveal()) } ?? .null, "args": .object(args),
        ])
        if let mistake = done["Mistake"] { throw Mistake(words(mistake)) }
        if let refused = done["Refused"] {
            let code = SmaltError.Code(rawValue: refused["code"]?.string ?? "")
            throw SmaltError(SmaltError.Code.all[code] ?? .internal, code, refused["reason"]?.string ?? "")
        }
        guard let answer = done["Answer"] else { throw Mistake("the server said nothing of `\(verb)`") }
        if verb != "restart" { return answer }
        await smalt.close()
        let reached = try Self.reach(answer["url"], key, presenter)
        running.with { $0 = reached }
        return nothing
    }

    func host(_ verb: String, _ args: Args) async throws -> JSON { try await order(verb, nil, args) }

    func elsewhere(_ verb: String, _ token: Secret?, _ args: Args, _ call: () async throws -> JSON) async throws -> JSON {
        try await refused(verb, call) { try await order(verb, token, args) }
    }

    func end() async {
        await smalt.close()
        await server.end()
    }
}

/// A process that takes orders as lines of JSON.
private final class Server: Sendable {
    private struct Pipes: @unchecked Sendable {
        let orders = Pipe()
        let answers = Pipe()
        var read = Data()
    }

    private let pipes = Locked(Pipes())
    /// Beside the lock: whoever ends a server that says nothing must not wait for what it says.
    private let process = Unshared(Process())

    private struct Unshared: @unchecked Sendable {
        let its: Process
        init(_ its: Process) { self.its = its }
    }

    init(_ binary: String, _ role: String) throws {
        let process = process.its
        process.executableURL = URL(fileURLWithPath: binary)
        process.arguments = ["plays_the_server", "--exact", "--nocapture", "--test-threads=1", "--quiet"]
        process.environment = ProcessInfo.processInfo.environment.merging(["SMALT_TEST_ROLE": role]) { $1 }
        try pipes.with { pipes in
            (process.standardInput, process.standardOutput) = (pipes.orders, pipes.answers)
            try process.run()
        }
    }

    /// The next line that is meant for the driver.
    func line() async throws -> JSON {
        try await waiting { pipes in
            while true {
                while let end = pipes.read.firstIndex(of: 0x0A) {
                    let line = pipes.read[..<end]
                    pipes.read = Data(pipes.read[(end + 1)...])
                    if let at = line.firstIndex(of: 0x40) { return try Codec.value(JSON.self, Data(line[(at + 1)...])) }
                }
                let more = pipes.answers.fileHandleForReading.availableData
                if more.isEmpty { throw Broken("the server ended") }
                pipes.read += more
            }
        }
    }

    func order(_ order: JSON) async throws -> JSON {
        let line = try Codec.data(order) + Data("\n".utf8)
        try await waiting { try $0.orders.fileHandleForWriting.write(contentsOf: line) }
        return try await self.line()
    }

    /// On a thread that may wait.
    private func waiting<Value: Sendable>(_ work: @escaping @Sendable (inout Pipes) throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { waiter in
            DispatchQueue.global().async { waiter.resume(with: Result { try self.pipes.with(work) }) }
        }
    }

    /// It ends when no order can come any more; one that is still at an order is told to.
    func end() async {
        let process = process.its
        let closing = Task { try await waiting { try $0.orders.fileHandleForWriting.close() } }
        for _ in 0..<3000 where process.isRunning { try? await Task.sleep(for: .milliseconds(10)) }
        if process.isRunning { process.terminate() }
        _ = await closing.result
    }
}

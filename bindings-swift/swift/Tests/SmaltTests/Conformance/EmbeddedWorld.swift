import Foundation

@testable import Smalt
@testable import SmaltTesting

/// The engine in this process.
final class EmbeddedWorld: World {
    let room: URL
    let origin: String
    let clock: FixedClock?
    private let one: Case
    private let standard: JSON
    private let sandbox: Sandbox
    private let folder: URL?
    private let connectors = Locked([String: Scripted]())
    private let runner: ScriptedRunner?
    let presenter: ScriptedPresenter?
    private let key: Secret
    private let running = Locked(Smalt?.none)

    static func open(_ one: Case, _ standard: JSON, _ room: URL) async throws -> EmbeddedWorld {
        let world = try await EmbeddedWorld(one, standard, room, Sandbox.start())
        do {
            try await world.start()
        } catch {
            await world.end()
            throw error
        }
        return world
    }

    private init(_ one: Case, _ standard: JSON, _ room: URL, _ sandbox: Sandbox) throws {
        (self.one, self.standard, self.room, self.sandbox, origin) = (one, standard, room, sandbox, sandbox.origin)
        clock = one.json["clock"]?.string.flatMap { Time.date($0) }.map { FixedClock($0) }
        let verbs = one.verbs
        folder = verbs.contains { $0 == "restart" || $0 == "search_store" } ? try temporaryFolder() : nil
        runner = verbs.contains("register_runner") ? ScriptedRunner() : nil
        presenter = ScriptedPresenter.of(one)
        key = try Smalt.makeKey()
        for step in one.steps where step["do"] == "register_connector" {
            guard let slug = step["args"]?["application"]?.string else { throw Mistake("a connector of no application") }
            connectors.with { $0[slug] = Scripted(slug) { [weak self] in self?.running.with { $0 } } }
        }
    }

    var smalt: Smalt {
        get throws {
            guard let smalt = running.with({ $0 }) else { throw Mistake("the engine is not open") }
            return smalt
        }
    }

    private func start() async throws {
        let patched = merge(standard, try fill(one.json["project"] ?? nothing, given))
        var timings = Timings(provider: .seconds(6), lease: .seconds(8), plugin: .seconds(6))
        (timings.poll, timings.revokeBackoff, timings.ahead) = (.milliseconds(20), .milliseconds(50), nil)
        (timings.webhookBackoff, timings.webhookAttempts) = (.milliseconds(50), 5)
        let manifests = try (one.json["manifests"]?.array ?? []).map { try AppManifest(fill($0, given)) }
        var options = EmbeddedOptions(
            environment: one.json["environment"]?.string.flatMap { SmaltEnvironment(rawValue: $0) } ?? .test, key: key,
            connectors: connectors.with { Array($0.values) }, manifests: manifests, presenter: presenter, runner: runner,
            deliverWebhooks: one.verbs.contains("create_webhook"), timings: timings, clock: clock)
        options.projectJSON = merge(patched, ["sandbox": ["url": .string(origin)]])
        let smalt = try await Smalt.embedded(folder?.appendingPathComponent("smalt.db").path, options: options)
        running.with { $0 = smalt }
    }

    func end() async {
        await running.with { $0 }?.close()
        running.with { $0 = nil }
        if let folder { try? FileManager.default.removeItem(at: folder) }
    }

    func host(_ verb: String, _ args: Args) async throws -> JSON {
        switch verb {
        case "advance":
            guard let clock, let seconds = args["seconds"]?.double else { throw Mistake("`advance` needs a `clock`") }
            clock.advance(by: .seconds(seconds))
        case "restart":
            await running.with { $0 }?.close()
            try await start()
        case "register_connector":
            let known: Set = ["ok", "throws", "hangs", "nonsense", "panics", "reenters", "rejects"]
            guard let behaviour = args["behaviour"]?.string, known.contains(behaviour), let slug = args["application"]?.string else {
                throw Mistake("there is no such behaviour")
            }
            connectors.with { $0[slug] }?.behaviour.with { $0 = behaviour }
        case "register_runner":
            guard let behaviour = args["behaviour"]?.string, ["echo", "throws"].contains(behaviour) else {
                throw Mistake("there is no such behaviour")
            }
            runner?.behaviour.with { $0 = behaviour }
        default: return try search((args["secrets"]?.array ?? []).compactMap(\.string))
        }
        return nothing
    }

    private func search(_ secrets: [String]) throws -> JSON {
        guard let folder else { throw Mistake("there is no store") }
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil).map {
            try Data(contentsOf: $0)
        }
        guard files.contains(where: { !$0.isEmpty }) else { throw Mistake("there is nothing to search") }
        var hits = 0
        for form in Set(try secrets.flatMap { try forms(Data($0.utf8)) }) {
            for file in files {
                var from = file.startIndex
                while let found = file.range(of: form, in: from..<file.endIndex) {
                    hits += 1
                    from = found.lowerBound + 1
                }
            }
        }
        return ["hits": .integer(hits)]
    }

    /// As it is, in hex, and in both alphabets of base64 wherever it may begin in the encoded text.
    private func forms(_ secret: Data) throws -> [Data] {
        guard secret.count >= 6 else { throw Mistake("too short a text to search for") }
        let hex = secret.map { String(format: "%02x", $0) }.joined()
        var found = [secret, Data(hex.utf8), Data(hex.uppercased().utf8)]
        for before in 0..<3 {
            let coded = Array((Data(count: before) + secret + Data(count: 2)).base64EncodedString().utf8)
            let part = String(decoding: coded[((before * 8 + 5) / 6)..<((before + secret.count) * 8 / 6)], as: UTF8.self)
            found.append(Data(part.utf8))
            found.append(Data(part.replacing("+", with: "-").replacing("/", with: "_").utf8))
        }
        return found
    }
}

func temporaryFolder() throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("smalt-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}

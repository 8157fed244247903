import Foundation
import Testing

@testable import Smalt

/// All conformance cases.
@Suite(.serialized) struct ConformanceTests {
    private static let room = repository.appendingPathComponent("tests/conformance")
    private static let chosen = ProcessInfo.processInfo.environment["CASE"] ?? ""

    private static func cases() throws -> [Case] {
        let files = try FileManager.default.contentsOfDirectory(
            at: room.appendingPathComponent("cases"), includingPropertiesForKeys: nil)
        let read = try files.filter { $0.pathExtension == "json" }.sorted { $0.path < $1.path }.map { try Case($0) }
        return chosen.isEmpty ? read : read.filter { $0.id.contains(chosen) }
    }

    @Test func everyCaseHoldsEmbedded() async throws {
        let standard = try JSONDecoder().decode(JSON.self, from: Data(contentsOf: Self.room.appendingPathComponent("project.json")))
        try await Self.everyCase("embedded") { try await EmbeddedWorld.open($0, standard, Self.room) }
    }

    @Test func everyCaseHoldsRemotely() async throws {
        try await Self.everyCase("remote") { try await RemoteWorld.open($0, Self.room) }
    }

    private static func everyCase(_ backend: String, _ open: @escaping @Sendable (Case) async throws -> any World) async throws {
        let (cases, begun) = (try cases(), ContinuousClock.now)
        let failed = await withTaskGroup(of: (String, String)?.self) { group in
            var failed: [String: String] = [:]
            for (index, one) in cases.enumerated() {
                if index >= 8, let ended = await group.next(), let (id, why) = ended { failed[id] = why }
                group.addTask { await hold(one, open) }
            }
            for await ended in group { if let (id, why) = ended { failed[id] = why } }
            return failed
        }
        print("swift \(backend): \(cases.count - failed.count) passed, \(failed.count) failed")
        if chosen.isEmpty { try count(backend, ContinuousClock.now - begun, cases.map(\.id), failed) }
        #expect(!cases.isEmpty, "no case is called like `\(chosen)`")
        for (id, why) in failed.sorted(by: { $0.key < $1.key }) { Issue.record("\(id): \(why)") }
        print("\(typedCalls.with { $0 }) calls through typed methods; with JSON by hand: \(rawCalls.with { $0 })")
    }

    /// Runs one case; why it does not hold, if it does not.
    private static func hold(_ one: Case, _ open: @Sendable (Case) async throws -> any World) async -> (String, String)? {
        do {
            let world = try await open(one)
            do {
                try await within(.seconds(120)) { try await run(one, world) }
            } catch {
                await world.end()
                throw error
            }
            await world.end()
            return nil
        } catch {
            return (one.id, "\(type(of: error)): \(error)")
        }
    }

    /// What was counted, for the grid: see tests/conformance/README.md.
    private static func count(_ backend: String, _ took: Duration, _ ids: [String], _ failed: [String: String]) throws {
        let target = ProcessInfo.processInfo.environment["CARGO_TARGET_DIR"].map { URL(fileURLWithPath: $0) }
        let folder = (target ?? repository.appendingPathComponent("target")).appendingPathComponent("conformance")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let row: JSON = [
            "language": "swift", "backend": .string(backend), "seconds": .number(took.inSeconds),
            "passed": .array(ids.filter { failed[$0] == nil }.map { .string($0) }), "failed": .array(failed.keys.sorted().map { .string($0) }),
        ]
        try (Codec.data(row) + Data("\n".utf8)).write(to: folder.appendingPathComponent("swift-\(backend).json"))
    }

    @Test(arguments: [
        ("10", "10.0"), (#"{"a": 1}"#, #"{"a": 1, "b": 2}"#), (#"[1, {"$any": true}]"#, "[1, null]"), (#"{"a": {"$absent": true}}"#, "{}"),
        (#"{"$match": "a*c*"}"#, #""abcabc""#), (#"{"$len": 2}"#, #""äö""#), (#"{"$contains": [2, 1]}"#, "[1, 2, 3]"),
        (#"{"$contains": "b"}"#, #""abc""#), (#"{"$exact": {"a": {"$any": true}}}"#, #"{"a": 1}"#), (#"{"$not": {"$len": 0}}"#, "[1]"),
    ]) func matches(_ wanted: String, _ got: String) throws {
        try match(json(wanted), json(got))
    }

    @Test(arguments: [
        (#""10""#, "10"), ("true", "1"), ("[1]", "[1, 2]"), (#"{"a": {"$any": true}}"#, "{}"), (#"{"a": {"$not": 1}}"#, "{}"),
        (#"{"$match": "a*c"}"#, #""abd""#), (#"{"$match": "a?"}"#, #""ab""#), (#"{"$contains": [1, 4]}"#, "[1, 2]"),
        (#"{"$exact": {"a": 1}}"#, #"{"a": 1, "b": 2}"#), (#"{"$not": 1}"#, "1"), (#"{"$odd": 1}"#, "1"),
    ]) func matchesNot(_ wanted: String, _ got: String) throws {
        #expect(throws: (any Error).self) { try match(json(wanted), json(got)) }
    }

    private func json(_ text: String) throws -> JSON { try JSONDecoder().decode(JSON.self, from: Data(text.utf8)) }
}

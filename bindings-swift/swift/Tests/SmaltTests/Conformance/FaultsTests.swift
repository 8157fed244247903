import Foundation
import Testing

@testable import Smalt
@testable import SmaltTesting

extension Case {
    /// One that stands in no file.
    fileprivate init(_ place: JSON) {
        json = [:]
        id = place["id"]?.string ?? ""
        steps = place["steps"]?.array?.compactMap(\.object) ?? []
    }
}

/// A server behind a bad network; what is there of a sandbox takes orders and counts.
private struct Reached: World {
    let smalt: Smalt
    let origin: String
    let room = repository.appendingPathComponent("tests/conformance")

    init(_ place: JSON) throws {
        func time(_ name: String) -> Duration { .seconds(place["client"]?[name]?.double ?? 0) }
        guard let url = place["url"]?.string.flatMap({ URL(string: $0) }) else { throw Mistake("a place without its address") }
        var options = ServerOptions(proxy: false)
        options.certificateAuthority = place["certificate_authority"]?.string
        options.timeout = time("timeout")
        options.attemptTimeout = time("attempt_timeout")
        options.connectTimeout = time("connect_timeout")
        smalt = try Smalt.remote(url, apiKey: Secret(place["key"]?.string ?? ""), options: options)
        origin = place["origin"]?.string ?? ""
    }

    func host(_ verb: String, _ args: Args) async throws -> JSON { throw Mistake("`\(verb)` is done where the engine is, which is somewhere else") }

    func end() async { await smalt.close() }
}

/// A bad network between the remote backend and a real server: the cases of tests/faults.
@Suite(.serialized) struct FaultsTests {
    @Test func everyFaultEndsAsItShould() async throws {
        guard let path = ProcessInfo.processInfo.environment["SMALT_FAULTS"] else { throw Mistake("swift.sh names the program") }
        let (program, said, input) = (Process(), Pipe(), Pipe())
        (program.executableURL, program.standardOutput, program.standardInput) = (URL(fileURLWithPath: path), said, input)
        try program.run()
        var line = Data()
        while line.last != 0x0A {
            let more = said.fileHandleForReading.availableData
            if more.isEmpty { throw Broken("the program ended") }
            line += more
        }
        let places = try JSONDecoder().decode([JSON].self, from: line)
        #expect(places.count >= 80 || ProcessInfo.processInfo.environment["CASE"] != nil, "\(places.count) cases")
        let failed = await withTaskGroup(of: String?.self) { group in
            var failed: [String] = []
            for (index, place) in places.enumerated() {
                if index >= 16, let ended = await group.next(), let why = ended { failed.append(why) }
                group.addTask { await Self.hold(place) }
            }
            for await ended in group { if let why = ended { failed.append(why) } }
            return failed
        }
        try input.fileHandleForWriting.close()
        program.waitUntilExit()
        for why in failed.sorted() { Issue.record("\(why)") }
    }

    private static func hold(_ place: JSON) async -> String? {
        do {
            let (world, one) = (try Reached(place), Case(place))
            do {
                try await within(.seconds(place["limit"]?.double ?? 0)) { try await run(one, world) }
            } catch {
                await world.end()
                throw error
            }
            await world.end()
            return nil
        } catch {
            return "\(place["id"]?.string ?? "?"): \(type(of: error)): \(error)"
        }
    }
}

import Foundation
import Testing

@testable import Smalt
@testable import SmaltTesting

extension Case {
    /// One that stands in no file.
    fileprivate init(_ place: Args) {
        json = place
        id = place["id"]?.string ?? ""
        steps = place["steps"]?.array?.compactMap(\.object) ?? []
    }
}

/// A server behind a bad network; what is there of a sandbox takes orders and counts.
private struct Reached: World {
    let smalt: Smalt
    let origin: String
    let room = repository.appendingPathComponent("tests/conformance")

    init(_ place: Args) throws {
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

    func host(_ verb: String, _ args: Args) async throws -> JSON {
        throw Mistake("`\(verb)` is done where the engine is, which is somewhere else")
    }

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
        let places = try JSONDecoder().decode([Args].self, from: line)
        #expect(places.count >= 80 || ProcessInfo.processInfo.environment["CASE"] != nil, "\(places.count) cases")
        let failed = await failures(
            of: places.map(Case.init), atOnce: 16, limit: { .seconds($0.json["limit"]?.double ?? 0) }, in: { try Reached($0.json) })
        try input.fileHandleForWriting.close()
        program.waitUntilExit()
        for (id, why) in failed.sorted(by: { $0.key < $1.key }) { Issue.record("\(id): \(why)") }
    }
}

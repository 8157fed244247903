import Foundation
import SmaltGlue
import Testing

@testable import Smalt

/// What no typed call can say, said by hand; and calls that meet a close.
@Suite(.serialized) struct NonsenseTests {
    private static let values: [JSON] = [
        .null, true, 0, -1, 1.5, .integer(.max), .integer(.min), .number(1e300), "", "x", "a", "a\u{0}b", "../..", "sandbox-oauth",
        "sandbox-key",
        .string(String(repeating: "ü", count: 300)), .string(String(repeating: "x", count: 10_000)), [], [[]], [:],
        ["a": 1], ["items": [["a": .null]]], .array(Array(repeating: 7, count: 1_000)), deep,
    ]

    private static let large: JSON = .string(String(repeating: "x", count: size(1 << 20, 100 << 20)))
    private static let deep: JSON = (0..<400).reduce(1) { inner, _ in [inner] }

    /// Each operation's name and the names of its request's fields, but for those that would change what the others are asked of.
    private static func operations() throws -> [(name: String, fields: [String])] {
        let file = repository.appendingPathComponent("docs/schema/operations-1.json")
        let schema = try JSONDecoder().decode(JSON.self, from: Data(contentsOf: file))
        let operations = try #require(schema["operations"]?.object).filter { $0.key != "rotate_keys" && $0.key != "set_project" }
        return operations.sorted { $0.key < $1.key }.map { name, operation in
            let request = operation["request"]?["$ref"]?.string?.split(separator: "/").last.map(String.init) ?? ""
            return (name, schema["$defs"]?[request]?["properties"]?.object?.keys.sorted() ?? [])
        }
    }

    private static func request(_ fields: [String], _ pick: () -> Int) -> JSON {
        // Now and then no object at all.
        if pick() % 10 == 0 { return values[pick() % values.count] }
        var request: [String: JSON] = [:]
        for field in fields where pick() % 4 != 0 { request[field] = values[pick() % values.count] }
        if pick() % 5 == 0 { request["no_such_field"] = 1 }
        return .object(request)
    }

    @Test func s78_nonsenseInEveryFieldOfEveryOperationIsAnErrorInWords() async throws {
        let operations = try Self.operations()
        #expect(operations.count > 50 && operations.allSatisfy { !$0.name.isEmpty })
        try await within(.seconds(size(240, 3_600))) {
            let smalt = try await Smalt.sandbox()
            try await smalt.account("a").ensure()
            _ = try await smalt.account("a").connect("sandbox-oauth")
            let session = try await smalt.account("a").session()
            // What waits on purpose does not wait for long.
            let handles = [smalt.timeout(.seconds(2)).handle, session.timeout(.seconds(2)).handle]
            var random: UInt64 = 7
            func pick() -> Int {
                random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int(random >> 33)
            }
            let refused = try await withThrowingTaskGroup(of: Bool.self) { group in
                var refused = 0
                for number in 0..<size(5_000, 100_000) {
                    if number >= 32, try await group.next() == true { refused += 1 }
                    let (operation, handle) = (operations[number % operations.count], handles[pick() % 2])
                    var request = Self.request(operation.fields, pick)
                    if number % 500 == 250, let field = operation.fields.first { request = [field: Self.large] }
                    let given = request
                    group.addTask {
                        do {
                            _ = try await handle.answer(operation.name, given)
                            return false
                        } catch let error as SmaltError {
                            #expect(error.code != .internal && !error.reason.isEmpty, "\(operation.name): \(error)")
                            return true
                        }
                    }
                }
                while let ended = try await group.next() { if ended { refused += 1 } }
                return refused
            }
            #expect(refused > size(2_500, 50_000))
            #expect(try await smalt.createAccount("goes-on").id == "goes-on")
            await smalt.close()
        }
    }

    @Test func s78_bytesThatAreNoCallAtAllAreRefusedInWords() async throws {
        try await sandboxed { smalt in
            let (port, engine) = (Port.shared.number, try #require(smalt.handle.engine).number)
            let texts = [
                "", "{", "[]", "\u{0}", #"{"op":1}{}"#, #"{"op":"credential"}"#, #"{"op":"get_account"}[1]"#,
                #"{"op":"get_account"}{"account":"a"}"#,
                String(repeating: "x", count: 1 << 20),
            ]
            for text in texts.map({ Data($0.utf8) }) + [Data([0xff, 0xfe, 0x00])] {
                let refused = try await thrown { _ = try await Port.shared.call { try callStart(engine: engine, number: $0, call: text) } }
                #expect(refused.code != .internal && !refused.reason.isEmpty, "\(refused)")
                let seat = try await thrown { _ = try raising { try seatTake(engine: engine, call: text) } }
                #expect(seat.code != .internal && !seat.reason.isEmpty, "\(seat)")
            }
            #expect(try await smalt.countAccounts() == 0)
            #expect(try hostAnswer(port: port, number: .max, answer: Data("{".utf8)) == false)
        }
    }

    @Test func s78_numbersThatNobodyGaveOutAreRefusedInWords() async throws {
        try await sandboxed { smalt in
            let (port, engine) = (Port.shared.number, try #require(smalt.handle.engine).number)
            let call = Data(#"{"op":"count_accounts"}{}"#.utf8)
            let forged: [UInt64] = [0, 1 << 40, 1 << 63, .max]
            for number in forged {
                let refused: [@Sendable () throws -> Void] = [
                    { try callStart(engine: number, number: 1, call: call) },
                    { _ = try engineCapabilities(engine: number) },
                    { _ = try seatTake(engine: number, call: call) },
                    { _ = try portTake(port: number, wait: 0) },
                    { _ = try portEnded(port: number) },
                    { try callCancel(port: number, number: 1) },
                    { _ = try hostAnswer(port: number, number: 1, answer: call) },
                    { try openEmbedded(port: number, number: 1, options: Data("{}{}".utf8)) },
                    { _ = try clockAdvance(clock: number, millis: 1) },
                    { try sandboxStart(port: number, number: 1) },
                ]
                for refuse in refused { #expect(try await thrown { try raising { try refuse() } }.code == .closed) }
                // These say nothing, and touch nothing that is somebody else's.
                engineRelease(engine: number)
                seatsClear(engine: number)
                clockRelease(clock: number)
                sandboxStop(sandbox: number)
                portClose(port: number)
                try callCancel(port: port, number: number)
                #expect(seatAnswer(engine: engine, seat: number, answer: number) == nil)
                #expect(seatAnswer(engine: number, seat: number, answer: number) == nil)
                #expect(seatReady(engine: engine, seat: number) == .max)
                #expect(seatReady(engine: number, seat: number) == .max)
            }
            // What is a number of something else is none of an engine either.
            let clock = clockOpen(millis: 0)
            #expect(try await thrown { _ = try raising { try engineCapabilities(engine: clock) } }.code == .closed)
            engineRelease(engine: clock)
            #expect(try clockAdvance(clock: clock, millis: 1) == 1)
            clockRelease(clock: clock)
            #expect(try await smalt.createAccount("goes-on").id == "goes-on")
        }
    }

    /// Calls that wait, of an engine whose last handle is gone by the time that they are answered.
    private static func dropped() async throws -> [Task<Data, any Error>] {
        let smalt = try await Smalt.sandbox()
        let engine = try #require(smalt.handle.engine).number
        let text = Data(#"{"op":"events"}{"since":"now","wait":600}"#.utf8)
        let before = Port.shared.pending
        let calls = (0..<32).map { _ in
            Task { try await Port.shared.call { try callStart(engine: engine, number: $0, call: text) } }
        }
        try await until { Port.shared.pending == before + 32 }
        withExtendedLifetime(smalt) {}
        return calls
    }

    @Test func s78_anEngineThatIsDroppedWhileItIsCalledHarmsNobody() async throws {
        try await running {
            let (open, pending) = (Engine.open.with { $0 }, Port.shared.pending)
            for _ in 0..<size(5, 100) {
                let calls = try await Self.dropped()
                try await until { Engine.open.with { $0 } <= open }
                for call in calls {
                    call.cancel()
                    do {
                        _ = try await call.value
                        Issue.record("it has nothing to answer")
                    } catch is CancellationError {
                    } catch let error as SmaltError {
                        #expect(error.code == .closed, "\(error)")
                    }
                }
            }
            #expect(Port.shared.pending == pending)
            let other = try await Smalt.sandbox()
            #expect(try await other.createAccount("goes-on").id == "goes-on")
            await other.close()
        }
    }

    @Test func s78_callsThatMeetACloseEndInWords() async throws {
        try await running {
            for _ in 0..<size(5, 100) {
                let smalt = try await Smalt.sandbox()
                let account = smalt.account("a")
                try await account.ensure()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<32 {
                        group.addTask {
                            if number == 16 { return await smalt.close() }
                            do {
                                for _ in 0..<20 {
                                    let got = try await account.get()
                                    #expect(got.id == "a")
                                }
                            } catch let error as SmaltError {
                                #expect(error.code == .closed, "\(error)")
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await thrown { _ = try await account.get() }.code == .closed)
            }
            try await until { Port.shared.pending == 0 }
        }
    }
}

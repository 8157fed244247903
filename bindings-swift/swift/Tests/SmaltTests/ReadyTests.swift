import Foundation
import Testing

@testable import Smalt

/// Credentials from memory.
@Suite(.serialized) struct ReadyTests {
    private func connected(_ test: @escaping @Sendable (Smalt, Account) async throws -> Void) async throws {
        try await sandboxed { smalt in
            let account = smalt.account("a")
            try await account.ensure()
            _ = try await account.connect("sandbox-oauth")
            try await test(smalt, account)
        }
    }

    private func seats(_ smalt: Smalt) throws -> Seats { try #require(smalt.handle.engine?.seats) }

    @Test func aReadyCredentialIsTheOneThatWasWaitedFor() async throws {
        try await connected { smalt, account in
            let first = try await account.credential("sandbox-oauth")
            #expect(try seats(smalt).kept == 0)
            for _ in 0..<3 {
                #expect(try await account.credential("sandbox-oauth") == first)
                #expect(try seats(smalt).kept == 1)
            }
            #expect(try await thrown { _ = try await account.credential("sandbox-key") }.code == .notConnected)
        }
    }

    @Test func whatTheCoreHasLetGoOfIsLetGoOfHere() async throws {
        try await connected { smalt, account in
            let seats = try seats(smalt)
            for _ in 0..<2 { _ = try await account.credential("sandbox-oauth") }
            let before = try await account.credential("sandbox-oauth")
            #expect(seats.kept == 1)
            _ = try await account.disconnect("sandbox-oauth")
            #expect(try await thrown { _ = try await account.credential("sandbox-oauth") }.code == .notConnected)
            #expect(seats.kept == 0)
            _ = try await account.connect("sandbox-oauth")
            for _ in 0..<2 { #expect(try await account.credential("sandbox-oauth") != before) }
            // Nobody asks for it again, but for another one.
            _ = try await account.connect("sandbox-key", inputs: ["key": Secret("sandbox-key-good"), "workspace": Secret("acme")])
            _ = try await account.disconnect("sandbox-oauth")
            for _ in 0..<2 { _ = try await account.credential("sandbox-key") }
            #expect(seats.kept == 1)
            await smalt.close()
            #expect(seats.kept == 0)
        }
    }

    @Test func moreSeatsThanThereMayBeBeginAnew() async throws {
        try await connected { smalt, account in
            let seats = try seats(smalt)
            for _ in 0..<2 { _ = try await account.credential("sandbox-oauth") }
            let text = Data(#"{"op":"credential"}{"account":"a","application":"sandbox-key"}"#.utf8)
            for number in 0..<Seats.most {
                seats.take(.init(actor: "somebody", account: "a-\(number)", application: "sandbox-key", connection: nil)) { text }
            }
            #expect(seats.kept == 0)
            for _ in 0..<2 { _ = try await account.credential("sandbox-oauth") }
            #expect(seats.kept == 1)
        }
    }

    @Test func aCancelledTaskAsksNoMemoryEither() async throws {
        try await connected { _, account in
            for _ in 0..<2 { _ = try await account.credential("sandbox-oauth") }
            let task = Task {
                while !Task.isCancelled { await Task.yield() }
                return try await account.credential("sandbox-oauth")
            }
            task.cancel()
            await #expect(throws: CancellationError.self) { _ = try await task.value }
        }
    }

    @Test func packedCredentialsAreReadWholeOrRefused() throws {
        let text = try String(contentsOf: repository.appendingPathComponent("bindings-swift/packed.hex"), encoding: .utf8)
        let digits = text.compactMap(\.hexDigitValue).map(UInt8.init)
        let bytes = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
        func read(_ bytes: [UInt8]) throws -> Credential { try Packed.read(Data(bytes)) { try $0.credential() } }
        let full = Credential(
            connectionID: "conn_1", application: "acme", authType: .oauth2, scopes: ["read", "", "é😀"],
            values: ["key": Secret("k\u{0}\"")], properties: ["a": "1", "b": ""], accessToken: Secret("token"), tokenType: nil,
            expiresAt: Date(timeIntervalSince1970: -0.001))
        #expect(try read(bytes) == full)
        for length in bytes.indices { #expect(throws: SmaltError.self) { try read(Array(bytes.prefix(length))) } }
        #expect(throws: SmaltError.self) { try read(bytes + [0]) }
        for place in bytes.indices {
            var wrong = bytes
            wrong[place] = 0xFF
            // Another credential, or an error; never anything else.
            do { _ = try read(wrong) } catch { #expect((error as? SmaltError)?.code == .internal) }
        }
    }

    @Test func requestsAreWrittenAsAnyEncoderWritesThem() throws {
        let texts = ["", "a", "\"\\/", "\u{0}\u{1}\n\r\t\u{1F}\u{7F}", "é😀\u{2028}"]
        for text in texts {
            let fields: Fields = [
                "text": text, "secret": Secret(text), "some": true, "none": Bool?.none, "number": -7, "large": UInt64.max, "part": 1.5,
                "inner": ["list": [text], "nothing": orNull(String?.none)] as Fields, "at": Date(timeIntervalSince1970: 0),
            ]
            let written = try JSONDecoder().decode(JSON.self, from: Codec.data(fields))
            #expect(
                written == [
                    "text": .string(text), "secret": .string(text), "some": true, "number": -7, "large": .number(Double(UInt64.max)),
                    "part": 1.5, "inner": ["list": [.string(text)], "nothing": nil], "at": "1970-01-01T00:00:00.000Z",
                ])
        }
        var merged: Fields = ["a": 1, "b": 2]
        merged.merge(["a": 3])
        #expect(try JSONDecoder().decode(JSON.self, from: Codec.data(merged)) == ["a": 3, "b": 2])
        #expect(throws: SmaltError.self) { try Codec.data(["x": Double.nan] as Fields) }
    }
}

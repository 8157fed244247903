import Foundation
import Testing

@testable import Smalt

/// Bodies that come in parts.
@Suite(.serialized) struct UploadTests {
    private struct ItsOwn: Error {}

    private static func provided(_ test: @escaping @Sendable (Provider, Account) async throws -> Void) async throws {
        try await running {
            let provider = try Provider()
            var options = EmbeddedOptions()
            options.projectJSON = [
                "version": 1, "sandbox": ["enabled": true, "url": .string(provider.origin)], "apps": ["sandbox-key": [:]],
            ]
            options.throwawayKey = true
            let smalt = try await Smalt.embedded(options: options)
            let account = smalt.account("a")
            try await account.ensure()
            _ = try await account.connect("sandbox-key", inputs: ["key": Secret("sandbox-key-good"), "workspace": Secret("acme")])
            try await test(provider, account)
            try await until { Port.shared.pending == 0 }
            await smalt.close()
        }
    }

    private static func put(_ account: Account, _ body: Parts, to path: String = "files") async throws -> ApiAnswer {
        try await account.upload("sandbox-key", "PUT", path, body: body)
    }

    /// Half a body, and then it waits for its task to be cancelled.
    private static let silent = Parts { number in
        if number == 0 { return Data("half".utf8) }
        try await Task.sleep(for: .seconds(600))
        return nil
    }

    @Test func aLargeBodyArrivesWholeAndInOrderInPartsOfAnySize() async throws {
        try await Self.provided { provider, account in
            let sizes = [0, 1, 3_000_000, 0, 40_000, 65_536, 7] + Array(repeating: 1, count: 200)
            let parts = sizes.enumerated().map { number, size in
                Data((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8 &+ number) })
            }
            let (body, all) = (Parts { $0 < parts.count ? parts[$0] : nil }, parts.reduce(Data(), +))
            #expect(try await Self.put(account, body).status == 200)
            #expect(provider.counts.whole == [all])
            let known = try await account.upload(
                "sandbox-key", "PUT", "files", body: body, contentType: "image/png", length: all.count, headers: ["x-case": "1"])
            #expect(known.status == 200)
            #expect(provider.counts.whole == [all, all])
        }
    }

    @Test func aFileIsSentAsItIsRead() async throws {
        try await Self.provided { provider, account in
            let film = FileManager.default.temporaryDirectory.appendingPathComponent("smalt-\(UUID().uuidString)")
            let all = Data(repeating: 7, count: 200_000)
            try all.write(to: film)
            defer { try? FileManager.default.removeItem(at: film) }
            let file = try FileHandle(forReadingFrom: film)
            defer { try? file.close() }
            let size = Int(try file.seekToEnd())
            try file.seek(toOffset: 0)
            let parts = AsyncThrowingStream(unfolding: { try file.read(upToCount: 65_536).flatMap { $0.isEmpty ? nil : $0 } })
            let answer = try await account.upload("sandbox-key", "PUT", "films/42", body: parts, contentType: "video/mp4", length: size)
            #expect(answer.status == 200 && provider.counts.whole == [all])
        }
    }

    @Test func aBodyThatThrowsIsNotWholeAndItsErrorComesOut() async throws {
        try await Self.provided { provider, account in
            let fails = Parts { number in
                if number == 0 { return Data("half".utf8) }
                try await until { provider.counts.seen == 4 }
                throw ItsOwn()
            }
            await #expect(throws: ItsOwn.self) { try await Self.put(account, fails) }
            try await until { provider.counts.cut == 1 }
            // A cancellation of its own is an error as any other.
            await #expect(throws: CancellationError.self) { try await Self.put(account, Parts { _ in throw CancellationError() }) }
            #expect(provider.counts.whole == [])
            #expect(try await Self.put(account, Parts { $0 == 0 ? Data("goes on".utf8) : nil }).status == 200)
            #expect(provider.counts.whole == [Data("goes on".utf8)])
        }
    }

    @Test func aCancelledUploadLeavesNothingAndIsNotWhole() async throws {
        try await Self.provided { provider, account in
            // A stream ends when its reader is cancelled, as if there were no more.
            let (stream, more) = AsyncStream.makeStream(of: Data.self)
            more.yield(Data("half".utf8))
            let upload = Task { try await account.upload("sandbox-key", "PUT", "files", body: stream) }
            try await until { provider.counts.seen == 4 }
            upload.cancel()
            await #expect(throws: CancellationError.self) { try await upload.value }
            try await until { provider.counts.cut == 1 && Port.shared.pending == 0 }
            #expect(provider.counts.whole == [])
        }
    }

    @Test func noMoreOfABodyIsReadThanIsWanted() async throws {
        try await Self.provided { _, account in
            let asked = Locked(0)
            let endless = Parts { _ in
                asked.with { $0 += 1 }
                return Data(count: 10_000)
            }
            let error = try await thrown { _ = try await account.upload("sandbox-oauth", "PUT", "files", body: endless) }
            #expect(error.code == .notConnected)
            // What waits to be sent, and what is on its way there.
            #expect(asked.with { $0 } <= 8)
            #expect(try await Self.put(account, endless, to: "refuses").status == 403)
            // One that gives nothing any more ends with the answer, too.
            #expect(try await Self.put(account, Self.silent, to: "refuses").status == 403)
        }
    }
}

/// Parts that are made when they are asked for.
private struct Parts: AsyncSequence, Sendable {
    private let part: @Sendable (Int) async throws -> Data?

    init(_ part: @escaping @Sendable (Int) async throws -> Data?) { self.part = part }

    struct Iterator: AsyncIteratorProtocol {
        fileprivate let part: @Sendable (Int) async throws -> Data?
        private var number = 0

        fileprivate init(_ part: @escaping @Sendable (Int) async throws -> Data?) { self.part = part }

        mutating func next() async throws -> Data? {
            defer { number += 1 }
            return try await part(number)
        }
    }

    func makeAsyncIterator() -> Iterator { Iterator(part) }
}

/// A provider that takes uploads of any size, and tells those that came whole from those that were cut off.
private final class Provider: Sendable {
    struct Counts {
        var whole: [Data] = []
        var cut = 0
        /// How many bytes of uploads have come.
        var seen = 0
    }

    let origin: String
    private let state = Locked(Counts())
    private let listener: Int32

    var counts: Counts { state.with { $0 } }

    init() throws {
        #if canImport(Darwin)
            listener = socket(AF_INET, SOCK_STREAM, 0)
        #else
            listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let failed = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, size) != 0 || listen(listener, 16) != 0 || getsockname(listener, $0, &size) != 0
            }
        }
        if failed { throw POSIXError(.EADDRNOTAVAIL) }
        origin = "http://127.0.0.1:\(UInt16(bigEndian: address.sin_port))"
        let state = state
        Thread.detachNewThread {
            while case let peer = accept(listener, nil, nil), peer >= 0 {
                Thread.detachNewThread {
                    Self.serve(Peer(peer), state)
                    close(peer)
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private static func serve(_ peer: Peer, _ state: Locked<Counts>) {
        guard let asked = peer.line() else { return }
        var headers: [String: String] = [:]
        while let line = peer.line(), !line.isEmpty {
            let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
            headers[parts[0].lowercased()] = parts[1]
        }
        if asked.hasPrefix("GET") { return peer.answer("200 OK", #"{"workspace":{"id":"acme","name":"Acme"}}"#) }
        if asked.contains("/refuses") { return peer.answer("403 Forbidden", "{}") }
        var body = Data()
        func taken(_ count: Int) -> Bool {
            var left = count
            while left > 0 {
                guard let part = peer.take(atMost: left) else { return false }
                left -= part.count
                body += part
                state.with { $0.seen += part.count }
            }
            return true
        }
        func whole() -> Bool {
            if let length = headers["content-length"].flatMap({ Int($0) }) { return taken(length) }
            while let size = peer.line().flatMap({ Int($0, radix: 16) }) {
                if size == 0 { return peer.line() == "" }
                if !taken(size) || peer.line() != "" { return false }
            }
            return false
        }
        if whole() {
            state.with { $0.whole.append(body) }
            peer.answer("200 OK", "{}")
        } else {
            state.with { $0.cut += 1 }
        }
    }

    private final class Peer: Sendable {
        private let socket: Int32
        private let come = Locked([UInt8]())

        init(_ socket: Int32) { self.socket = socket }

        private func more() -> Bool {
            var room = [UInt8](repeating: 0, count: 65_536)
            let count = read(socket, &room, room.count)
            if count > 0 { come.with { $0 += room[..<count] } }
            return count > 0
        }

        func take(atMost count: Int) -> Data? {
            if come.with({ $0.isEmpty }) && !more() { return nil }
            return come.with { come in
                defer { come.removeFirst(min(count, come.count)) }
                return Data(come.prefix(count))
            }
        }

        func line() -> String? {
            while true {
                let line: String? = come.with { come in
                    guard let end = come.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
                    defer { come.removeFirst(end + 1) }
                    return String(decoding: come[..<end], as: UTF8.self).trimmingCharacters(in: .newlines)
                }
                if let line { return line }
                if !more() { return nil }
            }
        }

        /// Answers, and reads what still comes, so that the answer arrives.
        func answer(_ status: String, _ json: String) {
            let head = ["HTTP/1.1 \(status)", "content-type: application/json", "content-length: \(json.utf8.count)", "connection: close"]
            let text = Array((head + ["", json]).joined(separator: "\r\n").utf8)
            _ = write(socket, text, text.count)
            shutdown(socket, Int32(SHUT_WR))
            while more() { come.with { $0 = [] } }
        }
    }
}

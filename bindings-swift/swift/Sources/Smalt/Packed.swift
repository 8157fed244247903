import Foundation

/// Reads what the core packs (`packed.rs` says how): the answer that is asked for all the time, without JSON.
struct Packed {
    private let bytes: UnsafeRawBufferPointer
    private var at = 0

    /// All of it must be read.
    static func read<Value>(_ data: Data, _ body: (inout Packed) throws -> Value) throws -> Value {
        try data.withUnsafeBytes { bytes in
            var packed = Packed(bytes: bytes)
            let value = try body(&packed)
            guard packed.at == bytes.count else { throw Codec.strange() }
            return value
        }
    }

    private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type) throws -> Number {
        let size = MemoryLayout<Number>.size
        guard bytes.count - at >= size else { throw Codec.strange() }
        defer { at += size }
        return Number(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: Number.self))
    }

    private mutating func text(of length: UInt32) throws -> String {
        let length = Int(length)
        guard bytes.count - at >= length else { throw Codec.strange() }
        defer { at += length }
        return String(decoding: UnsafeRawBufferPointer(rebasing: bytes[at..<at + length]), as: UTF8.self)
    }

    private mutating func text() throws -> String { try text(of: number(UInt32.self)) }

    private mutating func maybe() throws -> String? {
        let length = try number(UInt32.self)
        return length == .max ? nil : try text(of: length)
    }

    private mutating func time() throws -> Date? {
        let millis = try number(Int64.self)
        return millis == .min ? nil : Date(timeIntervalSince1970: Double(millis) / 1000)
    }

    /// How many follow, each of at least so many bytes.
    private mutating func count(_ least: Int) throws -> Int {
        let count = Int(try number(UInt32.self))
        guard count <= (bytes.count - at) / least else { throw Codec.strange() }
        return count
    }

    private mutating func map<Value>(_ made: (String) -> Value) throws -> [String: Value] {
        let count = try count(8)
        var map = [String: Value](minimumCapacity: count)
        for _ in 0..<count { map[try text()] = made(try text()) }
        return map
    }

    /// Seats of which the core has let go what they were answered.
    mutating func seats() throws -> [UInt64] {
        try (0..<count(8)).map { _ in try number(UInt64.self) }
    }

    mutating func credential() throws -> Credential {
        let (connection, application, type) = (try text(), try text(), try text())
        let (token, tokenType, ends) = (try maybe(), try maybe(), try time())
        let scopes = try (0..<count(4)).map { _ in try text() }
        let values = try map { Secret($0) }
        return Credential(
            connectionID: connection, application: application, authType: AuthType(rawValue: type) ?? .unknown, scopes: scopes,
            values: values, properties: try map { $0 }, accessToken: token.map { Secret($0) }, tokenType: tokenType, expiresAt: ends)
    }
}

import Foundation

@testable import Smalt

/// A value that the typed methods cannot be given: the case means the core's refusal of it.
struct Unfit: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// A verb's arguments, read into the types that its method declares.
struct Arguments {
    let own: Args
    init(_ own: Args) { self.own = own }

    func only(_ known: Set<String>) throws {
        let unknown = Set(own.keys).subtracting(known)
        if !unknown.isEmpty { throw Unfit("it takes no \(unknown.sorted())") }
    }

    func read<Value: Codable>(_ name: String, _ type: Value.Type) throws -> Value {
        guard let given = own[name] else { throw Unfit("it needs `\(name)`") }
        return try typed(given, type)
    }

    func read<Value: Codable>(_ name: String, _ type: Value.Type, _ absent: Value) throws -> Value {
        try own[name].map { try typed($0, type) } ?? absent
    }

    func read(_ name: String, _: Duration?.Type, _ absent: Duration?) throws -> Duration? {
        guard let given = own[name] else { return absent }
        guard let seconds = given.double else { throw Unfit("\(given) is no number") }
        return .seconds(seconds)
    }
}

/// A value of this type, or ``Unfit``: also where it would lose something of the JSON.
func typed<Value: Codable>(_ given: JSON, _ type: Value.Type) throws -> Value {
    guard let value = try? Codec.value(type, Codec.data(given)), let back = try? plain(value), holds(back, given) else {
        throw Unfit("\(written(given)) is no \(type)")
    }
    return value
}

/// Whether one JSON has all that another has.
private func holds(_ one: JSON?, _ other: JSON) -> Bool {
    switch (one, other) {
    case (nil, .null): true
    case (.object(let one)?, .object(let other)): other.allSatisfy { holds(one[$0.key], $0.value) }
    case (.array(let one)?, .array(let other)): one.count == other.count && zip(one, other).allSatisfy { holds($0, $1) }
    case (let one?, .integer), (let one?, .number): one.double == other.double
    default: one == other
    }
}

/// The JSON form of an answer, with its secrets.
func plain(_ value: some Encodable) throws -> JSON { try Codec.value(JSON.self, Codec.data(value)) }

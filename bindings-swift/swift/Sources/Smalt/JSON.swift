import Foundation

/// Any JSON value, for what an application's fields, workflows and answers hold: `["channel": "C1", "limit": 10]`.
public enum JSON: Sendable, Hashable {
    /// `null`.
    case null
    /// A truth value.
    case bool(Bool)
    /// A number without a fraction.
    case integer(Int)
    /// A number.
    case number(Double)
    /// A text.
    case string(String)
    /// A list.
    case array([JSON])
    /// An object.
    case object([String: JSON])
}

extension JSON: Codable {
    /// Reads one.
    public init(from decoder: any Decoder) throws {
        let its = try decoder.singleValueContainer()
        if its.decodeNil() {
            self = .null
        } else if let value = try? its.decode(String.self) {
            self = .string(value)
        } else if let value = try? its.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? its.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? its.decode(Double.self) {
            self = .number(value)
        } else if let value = try? its.decode([JSON].self) {
            self = .array(value)
        } else {
            self = .object(try its.decode([String: JSON].self))
        }
    }

    /// Writes it.
    public func encode(to encoder: any Encoder) throws {
        var its = encoder.singleValueContainer()
        switch self {
        case .null: try its.encodeNil()
        case .bool(let value): try its.encode(value)
        case .integer(let value): try its.encode(value)
        case .number(let value): try its.encode(value)
        case .string(let value): try its.encode(value)
        case .array(let value): try its.encode(value)
        case .object(let value): try its.encode(value)
        }
    }
}

extension JSON {
    /// Any value that can be written, as JSON.
    ///
    /// - Throws: `EncodingError` for a number that is none, and for a ``Secret``.
    public init(_ value: some Encodable) throws {
        self = try JSONDecoder().decode(JSON.self, from: JSONEncoder().encode(value))
    }

    /// The value as another type.
    ///
    /// - Throws: `DecodingError`: it has another form.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
        try JSONDecoder().decode(type, from: JSONEncoder().encode(self))
    }

    /// An object's value of this name; `nil` where there is none, and for what is no object.
    public subscript(name: String) -> JSON? {
        if case .object(let entries) = self { entries[name] } else { nil }
    }

    /// A list's value at this place; `nil` where there is none, and for what is no list.
    public subscript(index: Int) -> JSON? {
        if case .array(let items) = self, items.indices.contains(index) { items[index] } else { nil }
    }

    /// The text, if it is one.
    public var string: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The number, if it is one.
    public var double: Double? {
        switch self {
        case .integer(let number): Double(number)
        case .number(let number): number
        default: nil
        }
    }

    /// The number, if it is one without a fraction.
    public var int: Int? {
        switch self {
        case .integer(let number): number
        case .number(let number): Int(exactly: number)
        default: nil
        }
    }

    /// The truth value, if it is one.
    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The list, if it is one.
    public var array: [JSON]? {
        if case .array(let items) = self { items } else { nil }
    }

    /// The object, if it is one.
    public var object: [String: JSON]? {
        if case .object(let entries) = self { entries } else { nil }
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByNilLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    /// A text.
    public init(stringLiteral value: String) { self = .string(value) }
    /// A number.
    public init(integerLiteral value: Int) { self = .integer(value) }
    /// A number.
    public init(floatLiteral value: Double) { self = .number(value) }
    /// A truth value.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// `null`.
    public init(nilLiteral: ()) { self = .null }
    /// A list.
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    /// An object; of two entries with one name the last counts.
    public init(dictionaryLiteral elements: (String, JSON)...) { self = .object(Dictionary(elements, uniquingKeysWith: { $1 })) }
}

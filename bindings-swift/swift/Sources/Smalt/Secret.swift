import Foundation

/// A text that nobody shows by accident: descriptions, dumps, logs and encoders have none of it.
public struct Secret: Sendable, Hashable {
    private let own: String

    /// Keeps a text.
    public init(_ text: String) { own = text }

    /// The text. Keep it out of logs, addresses and errors.
    public func reveal() -> String { own }

    /// Compared in constant time.
    public static func == (one: Secret, other: Secret) -> Bool {
        let (one, other) = (Array(one.own.utf8), Array(other.own.utf8))
        guard one.count == other.count else { return false }
        return zip(one, other).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

extension Secret: Discreet {
    /// Without the text.
    public var description: String { "Secret(…)" }
}

extension Secret: Codable {
    static let exposing = CodingUserInfoKey(rawValue: "dev.smalt.exposing")!

    /// Reads the text.
    public init(from decoder: any Decoder) throws { own = try decoder.singleValueContainer().decode(String.self) }

    /// Written on its way into the core only: any other encoder is refused, so that no secret lands in a file or a log by accident.
    public func encode(to encoder: any Encoder) throws {
        guard encoder.userInfo[Self.exposing] as? Bool == true else {
            let words = "a secret is not written: `reveal()` it where it must be"
            throw EncodingError.invalidValue("…", .init(codingPath: encoder.codingPath, debugDescription: words))
        }
        var its = encoder.singleValueContainer()
        try its.encode(own)
    }
}

/// What shows itself by its description only, without what may hold a secret.
public protocol Discreet: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {}

extension Discreet {
    /// As the description.
    public var debugDescription: String { description }
    /// Nothing to look into.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// The same for what has data of the name `description`.
public protocol DiscreetData: TextOutputStreamable, CustomDebugStringConvertible, CustomReflectable {}

extension DiscreetData {
    /// As its debug description.
    public func write<Target: TextOutputStream>(to target: inout Target) { target.write(debugDescription) }
    /// Nothing to look into.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Stands in a description for what is not shown.
struct Hidden: CustomStringConvertible {
    var description: String { "…" }

    /// Only where there is something.
    static func of(_ value: Any?) -> Any? {
        if value == nil || (value as? JSON) == JSON.null { return nil }
        return Hidden()
    }
}

func described(_ type: String, _ parts: KeyValuePairs<String, Any?>) -> String {
    let shown = parts.map { name, value in "\(name): " + (value.map { String(describing: $0) } ?? "nil") }
    return "\(type)(\(shown.joined(separator: ", ")))"
}

import Foundation
import SmaltGlue

// Types whose form is a choice of Swift's; those that are core's as they are stand in Types.swift.

/// Entries of a list, and where it goes on.
public struct Page<Item: Sendable>: Sendable {
    /// The entries.
    public var items: [Item]
    /// Pass it to get the next page; absent on the last one.
    public var next: String?

    /// Makes one.
    public init(items: [Item], next: String? = nil) { (self.items, self.next) = (items, next) }
}

extension Page: Equatable where Item: Equatable {}
extension Page: Hashable where Item: Hashable {}
extension Page: Encodable where Item: Encodable {}
extension Page: Decodable where Item: Decodable {}

/// Left-hand entries of `map` fields, supplied by the caller.
public enum Labels: Sendable, Hashable, Codable {
    /// For every field with dynamic labels.
    case all([FieldLabel])
    /// By the field's `labelObject`.
    case byObject([String: [FieldLabel]])

    /// Reads them.
    public init(from decoder: any Decoder) throws {
        let its = try decoder.singleValueContainer()
        if let labels = try? its.decode([FieldLabel].self) {
            self = .all(labels)
        } else {
            self = .byObject(try its.decode([String: [FieldLabel]].self))
        }
    }

    /// Writes them.
    public func encode(to encoder: any Encoder) throws {
        var its = encoder.singleValueContainer()
        switch self {
        case .all(let labels): try its.encode(labels)
        case .byObject(let labels): try its.encode(labels)
        }
    }
}

/// Where a secret is read from; it never stands in the project file.
public enum SecretRef: Sendable, Hashable, Codable {
    /// An environment variable.
    case env(String)
    /// A file, relative to the project file; one trailing line break is dropped.
    case file(String)

    enum CodingKeys: String, CodingKey { case env, file }

    /// Reads it.
    public init(from decoder: any Decoder) throws {
        let its = try decoder.container(keyedBy: CodingKeys.self)
        if let name = try its.decodeIfPresent(String.self, forKey: .env) {
            self = .env(name)
        } else {
            self = .file(try its.decode(String.self, forKey: .file))
        }
    }

    /// Writes it.
    public func encode(to encoder: any Encoder) throws {
        var its = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .env(let name): try its.encode(name, forKey: .env)
        case .file(let path): try its.encode(path, forKey: .file)
        }
    }
}

/// An application as data.
public struct AppManifest: Sendable, Hashable, Codable, CustomStringConvertible {
    /// The manifest's content.
    public let data: JSON
    /// The application's stable name.
    public let slug: String

    /// A manifest of this content.
    ///
    /// - Throws: ``SmaltError``: `manifestInvalid` for one without a `slug`; everything else is checked when an engine opens with it.
    public init(_ data: JSON) throws {
        guard let slug = data["slug"]?.string else {
            throw SmaltError.here(.configuration, .manifestInvalid, "The manifest has no `slug`. Give the application a stable name.")
        }
        (self.data, self.slug) = (data, slug)
    }

    /// Reads and checks a manifest file (TOML).
    ///
    /// - Throws: ``SmaltError``: `manifestInvalid` names file, line, key and the cure.
    public static func load(_ path: String) throws -> AppManifest {
        try AppManifest(Codec.value(JSON.self, raising { try loadManifest(path: path) }))
    }

    /// Reads one.
    public init(from decoder: any Decoder) throws { try self.init(JSON(from: decoder)) }

    /// Writes it.
    public func encode(to encoder: any Encoder) throws { try data.encode(to: encoder) }

    /// With its name.
    public var description: String { "AppManifest(\(slug))" }
}

extension ApiAnswer {
    /// Whether the status is one of success.
    public var ok: Bool { (200...299).contains(status) }

    /// The first header of this name, whatever its case.
    public func header(_ name: String) -> String? { headers.first { $0.name.caseInsensitiveCompare(name) == .orderedSame }?.value }

    /// The body as text (UTF-8; what is none is replaced).
    public var text: String { String(decoding: body, as: UTF8.self) }

    /// The body, which is JSON, as a value.
    ///
    /// - Throws: `DecodingError`: it is none, or of another form.
    public func decode<Value: Decodable>(_ type: Value.Type = Value.self, decoder: JSONDecoder = JSONDecoder()) throws -> Value {
        try decoder.decode(type, from: body)
    }
}

extension StateCookie {
    /// The value of the `Set-Cookie` header for an https site. Browsers also take it on `http://localhost`, Safari excepted.
    public var header: String { "\(name)=\(value.reveal()); Max-Age=\(maxAge); Path=/; Secure; HttpOnly; SameSite=Lax" }
}

extension Credential {
    /// The value of the `Authorization` header; `nil` for a credential without an access token: its `values` are what the user entered.
    public var authorization: Secret? {
        guard let accessToken else { return nil }
        let kind = tokenType ?? "Bearer"
        return Secret("\(kind.lowercased() == "bearer" ? "Bearer" : kind) \(accessToken.reveal())")
    }
}

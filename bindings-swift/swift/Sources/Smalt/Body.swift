import Foundation

/// A body of an authenticated call.
public enum Body: Sendable, Hashable {
    /// JSON.
    case json(JSON)
    /// A form.
    case form([String: String])
    /// As it is, with its content type.
    case data(Data, type: String = "application/octet-stream")

    fileprivate func fields() throws -> Fields {
        switch self {
        case .json(let value): ["content_type": "application/json", "content": try Codec.data(value)]
        case .form(let values):
            ["content_type": "application/x-www-form-urlencoded", "content": Data(formEncoded(values.sorted { $0.key < $1.key }).utf8)]
        case .data(let content, let type): ["content_type": type, "content": content]
        }
    }
}

/// As the query of an address or the body of a form has them.
package func formEncoded(_ values: [(key: String, value: String)]) -> String {
    var plain = CharacterSet(charactersIn: "-._*")
    plain.insert(charactersIn: "a"..."z")
    plain.insert(charactersIn: "A"..."Z")
    plain.insert(charactersIn: "0"..."9")
    func encoded(_ text: String) -> String { text.addingPercentEncoding(withAllowedCharacters: plain) ?? "" }
    return values.map { encoded($0.key) + "=" + encoded($0.value) }.joined(separator: "&")
}

/// What is the same in all authenticated calls.
struct Request {
    var account: String
    var application: String
    var method: String
    var path: String
    var query: [String: String]
    var headers: [String: String]
    var body: Body?
    var connection: String?
    var timeout: Duration?
    var maxBody: Int?

    func fields() throws -> Fields {
        func pairs(_ values: [String: String]) -> [NameValue] {
            values.sorted { $0.key < $1.key }.map { NameValue(name: $0.key, value: $0.value) }
        }
        return [
            "account": account, "application": application, "method": method, "path": path, "query": pairs(query),
            "headers": pairs(headers),
            "body": try body?.fields(), "connection": connection, "timeout": timeout?.inSeconds, "max_body": maxBody,
        ]
    }
}

import Foundation
import Smalt
import SmaltGlue

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// A running sandbox provider: a strict small OAuth 2.0 server and key-checking API on loopback. Name its ``origin`` in the project as
/// `sandbox.url`. It ends with its object.
public final class Sandbox: Sendable {
    private let number: UInt64
    /// Its origin, e.g. `http://127.0.0.1:40123`.
    public let origin: String

    private init(_ number: UInt64, _ origin: String) { (self.number, self.origin) = (number, origin) }

    deinit { sandboxStop(sandbox: number) }

    /// Starts one on a free loopback port.
    public static func start() async throws -> Sandbox {
        let started = try await Codec.value(JSON.self, Port.shared.call { try sandboxStart(port: Port.shared.number, number: $0) })
        guard let number = started[0]?.int, let origin = started[1]?.string else {
            throw SmaltError(.internal, .internal, "The sandbox did not say where it is.")
        }
        return Sandbox(UInt64(number), origin)
    }

    /// Tells it how to behave, e.g. `["do": "set", "ways": ["expires_in": 1]]`.
    ///
    /// - Throws: `SmaltError`: `invalidRequest`: it does not know that order.
    public func control(_ order: JSON) async throws {
        let answer = try await Self.fetch(origin + "/control", order)
        if answer["ok"] != true { throw SmaltError(.invalid, .invalidRequest, "The sandbox refused the order: \(answer)") }
    }

    /// What it has counted.
    public func stats() async throws -> JSON { try await Self.fetch(origin + "/stats")["stats"] ?? .null }

    /// Plays the user at the authorize page; answers the callback URL, which is not requested.
    ///
    /// - Parameters:
    ///   - authorizeURL: What `startConnect` answered.
    ///   - user: `ada`, `grace` or `linus`.
    ///   - allow: Whether the user consents.
    public static func visit(_ authorizeURL: String, as user: String = "ada", allow: Bool = true) async throws -> String {
        try await visit(authorizeURL, [("sandbox_user", user), ("sandbox_decision", allow ? "allow" : "deny")])
    }

    package static func visit(_ url: String, _ more: [(key: String, value: String)]) async throws -> String {
        let asked = url + (url.contains("?") ? "&" : "?") + formEncoded(more)
        return try await Codec.value(Port.shared.call { try sandboxVisit(port: Port.shared.number, number: $0, url: asked) })
    }

    package static func fetch(_ address: String, _ body: JSON? = nil) async throws -> JSON {
        guard let url = URL(string: address) else { throw SmaltError(.invalid, .invalidRequest, "That is no address.") }
        var request = URLRequest(url: url, timeoutInterval: 60)
        if let body {
            request.httpMethod = "POST"
            request.setValue("application/json", forHTTPHeaderField: "content-type")
            request.httpBody = try Codec.data(body)
        }
        let (data, _) = try await URLSession.shared.data(for: request)
        return try Codec.value(data)
    }
}

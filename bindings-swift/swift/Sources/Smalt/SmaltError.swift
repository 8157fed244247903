import Foundation
import SmaltGlue

/// Everything that can go wrong. ``reason`` is core's own text: what happened, and what to do next. It holds no secret and no body of a
/// provider's. A cancelled task ends with `CancellationError`, and not with one of these.
///
/// ```swift
/// do {
///     credential = try await account.credential("slack")
/// } catch SmaltError.Code.notConnected {
///     // offer to connect
/// } catch let error as SmaltError where error.retry == .later {
///     // try again after error.retryAfter
/// }
/// ```
public struct SmaltError: Error, Sendable {
    /// Whether trying again can help.
    public enum Retry: String, Sendable, Hashable {
        /// The same call will fail the same way.
        case never
        /// The same call may succeed later; see ``SmaltError/retryAfter``.
        case later
        /// Only after the user has authorised again.
        case afterReauth = "after_reauth"
    }

    /// What sort of trouble it is.
    public var kind: Kind
    /// The stable code.
    public var code: Code
    /// What happened and what to do next, for people.
    public var reason: String
    /// Whether trying again can help.
    public var retry: Retry
    /// How long to wait before trying again, if known.
    public var retryAfter: Duration?
    /// The status that a server answered, or should answer with.
    public var httpStatus: Int?
    /// The id of the request at the server, if there was one.
    public var requestID: String?
    /// Named facts: `field`, `application`, `provider_error`, …
    public var context: [String: String]
    /// What a plugin's own language says of its error.
    public var trace: String?
    /// The error that a plugin of this process threw, if this one came of it.
    public var underlying: (any Error)?

    /// An error that your own plugin reports, e.g. a presenter.
    public init(
        _ kind: Kind,
        _ code: Code,
        _ reason: String,
        retry: Retry = .never,
        retryAfter: Duration? = nil,
        context: [String: String] = [:]
    ) {
        (self.kind, self.code, self.reason, self.retry, self.retryAfter, self.context) = (kind, code, reason, retry, retryAfter, context)
    }
}

extension SmaltError: LocalizedError, CustomStringConvertible {
    /// Core's own text.
    public var errorDescription: String? { reason }
    /// Core's own text, and the code.
    public var description: String { "\(reason) (\(code))" }
}

extension SmaltError.Kind {
    /// `catch SmaltError.Kind.reauth`.
    public static func ~= (kind: Self, error: any Error) -> Bool { (error as? SmaltError)?.kind == kind }
}

extension SmaltError.Code {
    /// `catch SmaltError.Code.notConnected`.
    public static func ~= (code: Self, error: any Error) -> Bool { (error as? SmaltError)?.code == code }
}

extension SmaltError {
    /// As messages have it.
    struct Wire: Codable {
        var kind: String?
        var code: String
        var reason: String
        var retry: String?
        var retryAfter: Double?
        var httpStatus: Int?
        var requestID: String?
        var context: [String: String]?
        var trace: String?

        enum CodingKeys: String, CodingKey {
            case kind, code, reason, retry, context, trace
            case retryAfter = "retry_after"
            case httpStatus = "http_status"
            case requestID = "request_id"
        }
    }

    init(_ data: Data) {
        guard let wire = try? JSONDecoder().decode(Wire.self, from: data) else {
            self = .here(
                .internal, .internal, "An error has another form than this version of the package knows. Use packages of one version.")
            return
        }
        self.init(Kind(rawValue: wire.kind ?? ""), Code(rawValue: wire.code), wire.reason, context: wire.context ?? [:])
        retry = Retry(rawValue: wire.retry ?? "") ?? .never
        retryAfter = wire.retryAfter.map { .seconds($0) }
        (httpStatus, requestID, trace) = (wire.httpStatus, wire.requestID, wire.trace)
        underlying = trace.flatMap { Causes.shared.of($0) }
    }

    /// What passed through a plugin, on its way back into the core.
    var wire: Wire {
        Wire(code: code.rawValue, reason: reason, retryAfter: retryAfter?.inSeconds, context: context, trace: trace)
    }

    /// An error that this package finds itself.
    static func here(_ kind: Kind, _ code: Code, _ reason: String, _ context: [String: String] = [:]) -> SmaltError {
        SmaltError(kind, code, reason, context: context)
    }
}

/// The errors of plugins of this process, by their trace.
final class Causes: Sendable {
    static let shared = Causes()
    private static let most = 64
    private let known = Locked([(trace: String, error: any Error)]())

    func keep(_ trace: String, _ error: any Error) {
        known.with { known in
            if known.count == Self.most { known.removeFirst() }
            known.append((trace, error))
        }
    }

    func of(_ trace: String) -> (any Error)? { known.with { $0.last { $0.trace == trace }?.error } }
}

/// A function of the native half, whose error is one of Smalt.
func raising<Value>(_ call: () throws -> Value) throws -> Value {
    do {
        return try call()
    } catch let Failed.Smalt(json) {
        throw SmaltError(json)
    }
}

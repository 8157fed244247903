import Foundation
import SmaltGlue

/// Checks deliveries of webhooks, where they are received.
public enum Webhooks {
    /// A delivery that is genuine.
    public struct Verified: Sendable, Hashable, Codable {
        /// The delivery's id: the same for each try, so that a second one can be passed over.
        public var id: String
        /// When it was sent.
        public var sentAt: Date

        enum CodingKeys: String, CodingKey {
            case id
            case sentAt = "sent_at"
        }
    }

    /// Checks a delivery's signature and age.
    ///
    /// - Parameters:
    ///   - headers: The request's headers.
    ///   - body: The request's body, as it came.
    ///   - secrets: The webhook's secret; two while one replaces another.
    ///   - tolerance: How old it may be; default 5 minutes.
    ///   - now: Default the system's time.
    /// - Throws: ``SmaltError``: `webhookUnverified`: it is not genuine, or too old.
    public static func verify(
        headers: [String: String],
        body: String,
        secrets: [Secret],
        tolerance: Duration? = nil,
        now: Date? = nil
    ) throws -> Verified {
        let delivery: Fields = [
            "headers": headers.sorted { $0.key < $1.key }.map { [$0.key, $0.value] }, "body": body, "secrets": secrets,
            "tolerance": tolerance?.inSeconds, "now": now.map(Time.millis),
        ]
        return try Codec.value(raising { try verifyWebhook(delivery: Codec.data(delivery)) })
    }

    /// Checks the signature that receivers of the hosted service know (`x-cobalt-signature`).
    public static func verifyCompatible(signature: String, body: String, secrets: [Secret]) throws {
        let delivery: Fields = ["headers": [String](), "body": body, "secrets": secrets, "compatible": signature]
        _ = try raising { try verifyWebhook(delivery: Codec.data(delivery)) }
    }
}

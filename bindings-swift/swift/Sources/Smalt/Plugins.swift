import Foundation

/// Thrown by a connector's `verify`: the application refuses what the user entered; nothing is saved. Thrown by
/// ``KeyProvider/unwrap(_:keyID:aad:)``: the key does not open it. Any other error is a plugin's fault.
public struct Rejected: Error, Sendable, LocalizedError {
    /// Why, for people.
    public var message: String

    /// A refusal, and why.
    public init(_ message: String = "The application refused the credentials.") { self.message = message }

    /// Why.
    public var errorDescription: String? { message }
}

/// Thrown by a plugin that finds itself broken, where other languages panic: it ends as `pluginPanicked`. A trap (`fatalError`, an index that is
/// not there) ends the process, and nothing can catch it.
public struct PluginPanic: Error, Sendable, LocalizedError {
    /// What is broken.
    public var message: String

    /// A panic, and of what.
    public init(_ message: String) { self.message = message }

    /// What is broken.
    public var errorDescription: String? { message }
}

/// An application's behaviour, which its manifest cannot say: a type has the methods that it conforms to, by ``VerifyingConnector``,
/// ``OptionsConnector``, ``RulesConnector`` and ``RevokingConnector``, and is never asked for others. Methods run in tasks of their own and
/// must not block a thread. What one throws becomes a ``SmaltError`` that names the plugin and has the error as its
/// ``SmaltError/underlying`` one.
public protocol Connector: Sendable {
    /// The slug of the application that it belongs to.
    var slug: String { get }
    /// The application as data, where the connector brings it along.
    var manifest: AppManifest? { get }
}

extension Connector {
    /// None: the application is known otherwise.
    public var manifest: AppManifest? { nil }
}

/// A connector that says who a credential belongs to.
public protocol VerifyingConnector: Connector {
    /// Who the context's credential belongs to, or `nil`; throws ``Rejected`` to refuse it.
    func verify(_ context: ConnectorContext) async throws -> Identity?
}

/// A connector that knows the choices of fields.
public protocol OptionsConnector: Connector {
    /// The choices of a field; `nil`: not one of its own.
    func options(_ request: OptionsRequest, _ context: ConnectorContext) async throws -> [FieldOption]?
}

/// A connector that knows the columns of rules.
public protocol RulesConnector: Connector {
    /// The columns of a rule; `nil`: not one of its own.
    func ruleColumns(_ request: RuleRequest, _ context: ConnectorContext) async throws -> RuleColumns?
}

/// A connector that ends grants itself.
public protocol RevokingConnector: Connector {
    /// Ends a grant at the provider: `true` when it is dead now, `false` where the manifest decides.
    func revoke(_ request: RevokeRequest, _ context: ConnectorContext) async throws -> Bool
}

/// What a field's choices are asked for with.
public struct OptionsRequest: Sendable, Hashable, Decodable {
    /// The field's id.
    public var field: String
    /// The name that the field gives them.
    public var source: String
    /// The workflow, where the field is one of a workflow's.
    public var workflow: String?
    /// The value of the field that this one depends on.
    public var parentValue: JSON?
    /// What the user typed.
    public var search: String?

    enum CodingKeys: String, CodingKey {
        case field, source, workflow, search
        case parentValue = "parent_value"
    }
}

extension OptionsRequest: Discreet {
    /// Without what a user chose or typed.
    public var description: String {
        described(
            "OptionsRequest",
            [
                "field": field, "source": source, "workflow": workflow, "parentValue": Hidden.of(parentValue), "search": Hidden.of(search),
            ])
    }
}

/// What a rule's columns are asked for with.
public struct RuleRequest: Sendable, Hashable, Decodable {
    /// The field's id.
    public var field: String
    /// The workflow, where the field is one of a workflow's.
    public var workflow: String?
    /// The left side's value.
    public var lhs: JSON
}

extension RuleRequest: Discreet {
    /// Without what a user chose.
    public var description: String { described("RuleRequest", ["field": field, "workflow": workflow, "lhs": Hidden.of(lhs)]) }
}

/// Which grant is to be ended.
public struct RevokeRequest: Sendable, Hashable, Decodable {
    /// The connection that it was.
    public var connectionID: String
    /// 1 at the first try.
    public var attempt: Int

    enum CodingKeys: String, CodingKey {
        case connectionID = "connection_id"
        case attempt
    }
}

/// What a connector is given: the credential, and an authenticated way to the application.
public struct ConnectorContext: Sendable, CustomStringConvertible {
    /// The linked account.
    public let accountID: String
    /// The application's slug.
    public let application: String
    /// The credential; `nil` while the application is not connected.
    public let credential: Credential?
    let number: UInt64
    let engine: Weak<Engine>

    /// An authenticated call to the application; takes what
    /// ``Account/request(_:_:_:query:headers:body:connection:timeout:maxBody:)`` takes.
    public func request(
        _ method: String,
        _ path: String,
        query: [String: String] = [:],
        headers: [String: String] = [:],
        body: Body? = nil,
        timeout: Duration? = nil,
        maxBody: Int? = nil
    ) async throws -> ApiAnswer {
        guard let engine = engine.object else {
            throw SmaltError.here(.plugin, .pluginFailed, "The engine that this context belongs to is not open.")
        }
        let request = Request(
            account: "", application: application, method: method, path: path, query: query, headers: headers, body: body, connection: nil,
            timeout: timeout, maxBody: maxBody)
        return try await Handle(engine).ask("context", request.fields(), within: number)
    }

    /// Without the credential.
    public var description: String { "ConnectorContext(\(accountID), \(application))" }
}

/// Opens the authorize page for the user.
public protocol Presenter: Sendable {
    /// For errors.
    var name: String { get }
    /// The redirect URI that this presenter catches; `nil` lets Smalt listen on the loopback address.
    var redirectURI: String? { get }
    /// Shows a page; the callback URL where the presenter catches it itself, else `nil`. For a user who closes it,
    /// ``SmaltError/userCancelled`` is thrown, for a window that something blocks ``SmaltError/windowBlocked``; `CancellationError` is for
    /// a task that was cancelled. It may answer as soon as the page is open, or keep it open: its task is cancelled when the flow has
    /// ended or the caller's time is over.
    func present(_ page: AuthorizePage) async throws -> URL?
}

extension Presenter {
    /// `swift`.
    public var name: String { "swift" }
    /// The loopback address.
    public var redirectURI: String? { nil }
}

/// What a presenter shows.
public struct AuthorizePage: Sendable, Hashable {
    /// The page's address. It stands for the flow: keep it out of logs.
    public let authorizeURL: URL
    /// Where the provider leads back to.
    public let redirectURI: String
    /// The application's name, for people.
    public let application: String
    /// What the user of the device flow (RFC 8628) must be shown; absent in others.
    public let device: DeviceCode?

    /// A page, for tests of your own presenter.
    public init(authorizeURL: URL, redirectURI: String, application: String, device: DeviceCode? = nil) {
        (self.authorizeURL, self.redirectURI, self.application, self.device) = (authorizeURL, redirectURI, application, device)
    }
}

extension AuthorizePage: Discreet {
    /// Without the address.
    public var description: String {
        described("AuthorizePage", ["authorizeURL": Hidden(), "redirectURI": redirectURI, "application": application, "device": device])
    }
}

/// What the user of the device flow must be shown.
public struct DeviceCode: Sendable, Hashable, Decodable {
    /// What the user enters.
    public let userCode: String
    /// Where, on any device.
    public let verificationURI: String
    /// The same with the code in it.
    public let verificationURIComplete: String?

    enum CodingKeys: String, CodingKey {
        case userCode = "user_code"
        case verificationURI = "verification_uri"
        case verificationURIComplete = "verification_uri_complete"
    }
}

extension DeviceCode: Discreet {
    /// Without the code.
    public var description: String {
        let complete = Hidden.of(verificationURIComplete)
        return described("DeviceCode", ["userCode": Hidden(), "verificationURI": verificationURI, "verificationURIComplete": complete])
    }
}

/// Master keys, e.g. of a key management service.
public protocol KeyProvider: Sendable {
    /// The id of the master key that wraps now.
    func keyID() async throws -> String
    /// Seals a data key.
    func wrap(_ dataKey: Data, aad: Data) async throws -> Data
    /// Opens a data key; throws ``Rejected`` when the key does not open it.
    func unwrap(_ wrapped: Data, keyID: String, aad: Data) async throws -> Data
}

/// Runs the organisation's workflows.
public protocol WorkflowRunner: Sendable {
    /// Runs one; the answer goes back to the caller of `runWorkflow`.
    func run(_ run: WorkflowRun) async throws -> JSON
}

/// A run of a workflow.
public struct WorkflowRun: Sendable, Hashable, Decodable {
    /// The linked account.
    public let accountID: String
    /// The application's slug.
    public let application: String
    /// The config's id.
    public let configID: String
    /// The workflow's id.
    public let workflow: String
    /// The config's values.
    public let fields: [String: JSON]
    /// The workflow's values.
    public let workflowFields: [String: JSON]
    /// What the caller gave.
    public let payload: JSON

    enum CodingKeys: String, CodingKey {
        case application, workflow, fields, payload
        case accountID = "account_id"
        case configID = "config_id"
        case workflowFields = "workflow_fields"
    }
}

extension WorkflowRun: Discreet {
    /// Without what users wrote.
    public var description: String {
        described(
            "WorkflowRun",
            [
                "accountID": accountID, "application": application, "configID": configID, "workflow": workflow, "fields": Hidden(),
                "workflowFields": Hidden(), "payload": Hidden.of(payload),
            ])
    }
}

import Foundation

/// What the organisation's ``Account`` and its ``Session`` have in common: a view that takes `some Linked` works with both. Types of your own
/// can't conform in a way that does anything.
public protocol Linked: Sendable {
    /// The organisation's id for the customer. Empty for a session at a server, which knows it by the token.
    var accountID: String { get }
    /// What calls are made with.
    var handle: Handle { get }
}

extension Linked {
    /// Connects an application: shows the authorize page with the presenter, or verifies and saves the inputs.
    ///
    /// - Parameters:
    ///   - application: The application's slug.
    ///   - inputs: What the user entered, by input name.
    ///   - authType: Which way to authorise, where the application offers several; default its first.
    ///   - scopes: Scopes to ask for, in place of the project's; required ones are always added.
    ///   - connection: The connection to authorise again.
    ///   - device: Takes the device flow (RFC 8628): the presenter shows a code, and the user enters it on any device.
    ///   - timeout: How long the user may take, above zero; then the flow is cancelled. Default, and at most: as long as the flow
    ///     lives (`flowExpired`): 10 minutes for a page, and for a code what the provider says.
    /// - Throws: ``SmaltError``: `userCancelled`, `userDenied`, `flowExpired`, `credentialsRejected`, `invalidInputs`; `connectTimeout` when the `timeout` is
    ///   over, `invalidRequest` for one that is no time; `presenterRequired` where nothing can open a page: a web backend has ``Linked/startConnect(_:inputs:scopes:returnTo:redirectURI:connection:device:)`` and
    ///   ``Linked/finishConnect(callbackURL:cookie:claim:)``.
    public func connect(
        _ application: String,
        inputs: [String: Secret] = [:],
        authType: AuthType? = nil,
        scopes: [String]? = nil,
        connection: String? = nil,
        device: Bool = false,
        timeout: Duration? = nil
    ) async throws -> Connection {
        try await handle.ask(
            "connect",
            [
                "account": accountID, "application": application, "inputs": inputs, "auth_type": authType, "scopes": scopes,
                "connection": connection, "device": device, "timeout": timeout?.inSeconds,
            ])
    }

    /// The connection that a flow makes, in whatever process it was begun: for an app that was closed while its user was at the provider. Waits
    /// for the flow's end, as long as it lives.
    ///
    /// - Parameters:
    ///   - flow: The flow's id, of `startConnect`.
    ///   - returned: Where the user came back to: the `returnTo` of `startConnect`, with what stands in it. Its claim is spent.
    /// - Throws: ``SmaltError``: why the flow made none: `userDenied`, `flowExpired`, `flowCancelled`, …; `claimInvalid` for what is no return
    ///   of this flow; `flowNotFound`.
    public func resumeConnect(_ flow: String, returned: URL? = nil) async throws -> Connection {
        let returned = returned.map { Secret($0.absoluteString) }
        return try await handle.ask("resume", ["account": accountID, "flow": flow, "returned": returned])
    }

    /// A handle on a connect flow. No I/O.
    public func flow(_ id: String) -> FlowHandle { FlowHandle(id: id, handle: handle, account: accountID) }
}

/// A connect flow that was begun: watch it, wait for it, cancel it. Any process can hold one.
public struct FlowHandle: Sendable, CustomStringConvertible {
    /// The flow's id.
    public let id: String
    let handle: Handle
    let account: String

    /// Where it stands.
    public func get() async throws -> ConnectFlow { try await handle.ask("get_flow", ["account": account, "flow": id]) }

    /// Waits for its end, at most so long; answers it as it stands then.
    public func wait(_ timeout: Duration? = nil) async throws -> ConnectFlow {
        try await handle.ask("wait_flow", ["account": account, "flow": id, "timeout": timeout?.inSeconds])
    }

    /// Cancels it, unless it has ended.
    public func cancel() async throws -> ConnectFlow { try await handle.ask("cancel_flow", ["account": account, "flow": id]) }

    /// With its id.
    public var description: String { "FlowHandle(\(id))" }
}

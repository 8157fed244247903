import Foundation

// Addresses cross as the texts that a project lists, letter for letter. Where one is opened, or came from the system, it is a `URL` too.

extension StartedConnect {
    /// ``authorizeURL``, to be opened.
    public var page: URL? { URL(string: authorizeURL) }
}

extension Handoff {
    /// ``page`` to be opened; `nil` where the server has none. It stands for the flow: keep it out of logs.
    public var pageURL: URL? { page.flatMap { URL(string: $0.reveal()) } }
}

extension PortalLink {
    /// ``url`` to be opened. It stands for the user: keep it out of logs.
    public var page: URL? { URL(string: url.reveal()) }
}

extension Linked {
    /// Ends a connect flow for the user who came back; see ``finishConnect(callbackURL:cookie:claim:)``.
    ///
    /// - Parameters:
    ///   - callback: The URL that the provider sent the browser to.
    ///   - cookie: The cookie that `start_connect` gave: its value, or the request's whole `Cookie` header.
    ///   - claim: The one-time claim of a parked callback.
    public func finishConnect(callback: URL, cookie: Secret? = nil, claim: Secret? = nil) async throws -> Connection {
        try await finishConnect(callbackURL: callback.absoluteString, cookie: cookie, claim: claim)
    }
}

extension Smalt {
    /// Takes a provider's callback and keeps its code, sealed and briefly, until the user claims it.
    ///
    /// - Parameters:
    ///   - callback: The whole URL that the provider sent the browser to.
    ///   - cookie: The cookie's value, if the browser sent it.
    public func parkCallback(_ callback: URL, cookie: Secret? = nil) async throws -> ParkedCallback {
        try await parkCallback(callback.absoluteString, cookie: cookie)
    }
}

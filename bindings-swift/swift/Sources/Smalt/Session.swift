import Foundation
import SmaltGlue

/// One linked account's authority: what a phone, a desktop or a browser holds.
///
/// ```swift
/// let session = try Session(server: server) { try await backend.smaltToken() }
/// ```
public struct Session: Linked, CustomStringConvertible {
    /// The linked account that it speaks for. Empty where only the server knows it.
    public let accountID: String
    public let handle: Handle
    /// The bearer token; give it to the user's browser or phone. Empty for a session whose tokens come from a closure.
    public let token: Secret
    /// When it ends by itself; `nil` where that is not known.
    public let expiresAt: Date?

    init(accountID: String, handle: Handle, token: Secret, expiresAt: Date?) {
        (self.accountID, self.handle, self.token, self.expiresAt) = (accountID, handle, token, expiresAt)
    }

    init(_ info: SessionInfo, _ handle: Handle) {
        self.init(accountID: info.accountID, handle: handle.with(token: info.token), token: info.token, expiresAt: info.expiresAt)
    }

    private init(_ server: URL, _ options: ServerOptions, _ token: Secret?, _ home: Home?) throws {
        let engine = try opening(home) {
            let text = try Codec.data(options.described(server, ["token": token])) + Codec.data(home?.described(nil) ?? [:])
            return try openSession(port: Port.shared.number, options: text)
        }
        let token = token ?? Secret("")
        self.init(accountID: "", handle: Handle(Engine(engine, home, hasStore: false), token: token), token: token, expiresAt: nil)
    }

    /// One linked account's authority at a server, for a phone or a desktop, which holds no API key. No I/O: nobody is asked before the first
    /// call.
    ///
    /// - Parameters:
    ///   - server: The server's address; it may end in a path.
    ///   - options: What else can be set, e.g. the presenter.
    ///   - tokens: Gives tokens, which your backend makes with ``Account/session(force:)``: asked before the first call and whenever one has
    ///     ended, once for all calls that wait.
    /// - Throws: ``SmaltError``: `addressRefused` for plain http to another machine.
    public init(server: URL, options: ServerOptions = .init(), tokens: @escaping @Sendable () async throws -> Secret) throws {
        try self.init(server, options, nil, Home(presenter: options.presenter, tokens: tokens))
    }

    /// The same with a token that is known; when it ends, calls answer `invalidToken`.
    public init(server: URL, token: Secret, options: ServerOptions = .init()) throws {
        try self.init(server, options, token, options.presenter.map { Home(presenter: $0) })
    }

    /// A session for previews and tests, which needs no server: an engine in memory with the sandbox applications, opened by the first call.
    /// Whoever connects is taken to have consented. Where the library has no engine, its calls end as `unsupported`.
    public static let preview: Session = {
        let later = Later {
            let smalt = try await Smalt.sandbox()
            let account = smalt.account("preview")
            try await account.ensure()
            let session = try await account.session()
            guard let engine = session.handle.engine else { throw SmaltError.here(.internal, .internal, "The sandbox has no engine.") }
            return (engine, session.token)
        }
        return Session(accountID: "preview", handle: Handle(.later(later)), token: Secret(""), expiresAt: nil)
    }()

    /// The same handle, whose calls take at most so long; then they end as `outcomeUnknown`: what has an effect outside goes on.
    public func timeout(_ timeout: Duration?) -> Session {
        Session(accountID: accountID, handle: handle.with(timeout: timeout), token: token, expiresAt: expiresAt)
    }

    /// What is known of the session now.
    ///
    /// - Throws: ``SmaltError``: `invalidToken` when it is not good any more.
    public func info() async throws -> SessionInfo { try await handle.ask("verify_session", ["token": token]) }

    /// Ends it at once, everywhere. False when it had ended already.
    @discardableResult
    public func revoke() async throws -> Bool { try await handle.ask("revoke_session", ["token": token]) }

    /// Without the token.
    public var description: String { "Session(\(accountID))" }
}

extension Session: Discreet {}

/// Opens something at once; whoever would have been called back is forgotten where that fails.
func opening(_ home: Home?, _ open: () throws -> UInt64) throws -> UInt64 {
    do {
        return try raising(open)
    } catch {
        if let home { Homes.shared.remove(home) }
        throw error
    }
}

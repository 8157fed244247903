import Foundation
import SmaltGlue

/// One organisation in one environment.
///
/// ```swift
/// let smalt = try await Smalt.embedded("smalt.db", options: .init(projectFile: "smalt.toml"))
/// ```
public struct Smalt: Sendable, CustomStringConvertible {
    let handle: Handle

    /// The engine in this process, on one encrypted SQLite file that several processes may share.
    ///
    /// - Parameters:
    ///   - path: The store's file, made when it is missing. Absent: in memory.
    ///   - options: What else can be set.
    /// - Throws: ``SmaltError``: `keyMissing`, `projectInvalid`, …: the text names the cure.
    public static func embedded(_ path: String? = nil, options: EmbeddedOptions = .init()) async throws -> Smalt {
        let home = try options.home()
        do {
            let text =
                try Codec.data(options.described(path)) + Codec.data(home?.described(options.clock) ?? ["clock": options.clock?.number])
            let opened = try await Port.shared.call { try openEmbedded(port: Port.shared.number, number: $0, options: text) }
            return Smalt(handle: Handle(Engine(try Codec.value(opened), home, hasStore: true)))
        } catch {
            if let home { Homes.shared.remove(home) }
            throw error
        }
    }

    /// For tests, offline and ready: in memory, with a throw-away key and the sandbox applications; consent is scripted.
    ///
    /// - Parameter options: What else can be set, e.g. your project; a project file enables the sandbox itself.
    public static func sandbox(options: EmbeddedOptions = .init()) async throws -> Smalt {
        var options = options
        (options.throwawayKey, options.consents) = (true, "ada")
        options.sandbox = options.projectFile == nil
        return try await embedded(options: options)
    }

    /// The organisation's authority at a server: `smalt serve`, or the hosted service. No I/O: whether it is there shows at the first call.
    ///
    /// - Parameters:
    ///   - server: The server's address; it may end in a path.
    ///   - apiKey: The organisation's API key, which also says which environment is meant. Absent: the variable `SMALT_API_KEY`.
    ///   - options: What else can be set.
    /// - Throws: ``SmaltError``: `invalidRequest` for an address or a key that cannot be one; `addressRefused` for plain http to another
    ///   machine.
    public static func remote(_ server: URL, apiKey: Secret? = nil, options: ServerOptions = .init()) throws -> Smalt {
        let home = options.presenter.map { Home(presenter: $0) }
        let engine = try opening(home) {
            let text = try Codec.data(options.described(server, ["api_key": apiKey])) + Codec.data(home?.described(nil) ?? [:])
            return try openRemote(port: Port.shared.number, options: text)
        }
        return Smalt(handle: Handle(Engine(engine, home, hasStore: false)))
    }

    /// A new master key's text.
    public static func makeKey() throws -> Secret { Secret(try raising(SmaltGlue.makeKey)) }

    /// The version of the native half.
    public static var version: String { SmaltGlue.version() }

    /// What this backend can do.
    public var capabilities: Capabilities {
        get throws {
            guard let engine = handle.engine else { throw SmaltError.here(.unavailable, .closed, "It is not open yet.") }
            return try Codec.value(raising { try engineCapabilities(engine: engine.number) })
        }
    }

    /// The same, with a name for the audit: who asks, e.g. `worker-3`.
    public func acting(as actor: String) -> Smalt {
        var made = handle
        made.actor = actor
        return Smalt(handle: made)
    }

    /// The same handle, whose calls take at most so long; then they end as `outcomeUnknown`: what has an effect outside goes on.
    public func timeout(_ timeout: Duration?) -> Smalt { Smalt(handle: handle.with(timeout: timeout)) }

    /// The organisation's authority over one linked account. No I/O: an unknown account is an error of the first verb.
    public func account(_ id: String) -> Account { Account(accountID: id, handle: handle) }

    /// The session of a token.
    ///
    /// - Throws: ``SmaltError``: `invalidToken`, one answer for every way a token can be wrong.
    public func session(_ token: Secret) async throws -> Session { Session(try await verifySession(token), handle) }

    /// The session of a token and the account that it should speak for. No I/O: whether it does shows at the first verb.
    public func session(_ token: Secret, accountID: String) -> Session {
        Session(accountID: accountID, handle: handle.with(token: token), token: token, expiresAt: nil)
    }

    /// All linked accounts, newest first.
    ///
    /// - Parameter search: A part of the id or the name.
    public func accounts(search: String? = nil) -> Listing<LinkedAccount> {
        Listing { cursor, _ in
            let page = try await listAccounts(cursor: cursor, limit: 500, search: search)
            return .init(items: page.items, next: page.next, more: page.next != nil)
        }
    }

    /// What happened since a cursor, oldest first.
    ///
    /// - Parameters:
    ///   - since: Where the caller stopped; absent: from the oldest that is kept.
    ///   - limit: How many; 1 to 1,000, default 100.
    ///   - wait: How long to wait when there is none yet; default not at all.
    public func eventsPage(since: String? = nil, limit: Int? = nil, wait: Duration? = nil) async throws -> Page<Event> {
        try await handle.ask("events", ["since": since, "limit": limit, "wait": wait?.inSeconds])
    }

    /// What happened since a cursor, and what happens from now on: at least once, in order, without an end. Keep an event's `cursor` to go on
    /// after a restart. Nothing is asked for that is not read.
    ///
    /// - Parameter since: The cursor of the last event that was handled; absent: from the oldest that is kept.
    public func events(since: String? = nil) -> Listing<Event> {
        Listing(from: since) { cursor, _ in
            let page = try await eventsPage(since: cursor, wait: .seconds(20))
            return .init(items: page.items, next: page.items.last?.cursor ?? cursor, more: true)
        }
    }

    /// Replaces the project of an embedded engine that has no project file.
    public func setProject(_ project: Project) async throws { _ = try await handle.answer("set_project", project) }

    /// Writes what is outstanding and releases the store. Later calls end as `closed`. An engine that nobody closes is let go of with its last
    /// handle.
    public func close() async { await handle.engine?.close() }

    /// Its name.
    public var description: String { "Smalt" }
}

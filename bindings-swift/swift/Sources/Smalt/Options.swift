import Foundation

/// How calls to a server are made. What is `nil` keeps its default.
public struct ServerOptions: Sendable {
    /// Opens authorize pages.
    public var presenter: (any Presenter)?
    /// How long a call may take in all, tries and waits included. Default 60 s.
    public var timeout: Duration?
    /// How long one try may take. Default 30 s.
    public var attemptTimeout: Duration?
    /// The time to connect, within a try's. Default 5 s.
    public var connectTimeout: Duration?
    /// How often a call is sent again, for each sort of trouble; 0: never. Default 2.
    public var retries: Int?
    /// The largest answer, in bytes. Default 16 MiB.
    public var maxAnswer: Int?
    /// Allows plain http to an address that is not this machine.
    public var plainHTTP: Bool
    /// A certificate authority to trust beside the platform's: PEM.
    public var certificateAuthority: String?
    /// Whether the proxies of the environment are used. Default true.
    public var proxy: Bool

    /// Options; what is left out keeps its default.
    public init(
        presenter: (any Presenter)? = nil,
        timeout: Duration? = nil,
        attemptTimeout: Duration? = nil,
        connectTimeout: Duration? = nil,
        retries: Int? = nil,
        maxAnswer: Int? = nil,
        plainHTTP: Bool = false,
        certificateAuthority: String? = nil,
        proxy: Bool = true
    ) {
        (self.presenter, self.timeout, self.attemptTimeout, self.connectTimeout) = (presenter, timeout, attemptTimeout, connectTimeout)
        (self.retries, self.maxAnswer, self.plainHTTP) = (retries, maxAnswer, plainHTTP)
        (self.certificateAuthority, self.proxy) = (certificateAuthority, proxy)
    }

    func described(_ server: URL, _ more: Fields) -> Fields {
        var made: Fields = [
            "url": server.absoluteString, "timeout": timeout?.inSeconds, "attempt_timeout": attemptTimeout?.inSeconds,
            "connect_timeout": connectTimeout?.inSeconds, "retries": retries, "max_answer": maxAnswer, "plain_http": plainHTTP,
            "certificate_authority": certificateAuthority, "proxy": proxy,
        ]
        made.merge(more)
        return made
    }
}

/// What an embedded engine can be told. What is left as it is keeps its default.
public struct EmbeddedOptions: Sendable {
    /// The project file's path; it is read again when it changes.
    public var projectFile: String?
    /// The project itself.
    public var project: Project?
    /// Test (the default) or production.
    public var environment: SmaltEnvironment
    /// The master key's text. Absent: ``keyFile``, ``keys``, then the variables `SMALT_KEY` and `SMALT_KEY_FILE`.
    public var key: Secret?
    /// The file that holds the master key; `smalt init` makes one.
    public var keyFile: String?
    /// A key provider, e.g. for a key management service.
    public var keys: (any KeyProvider)?
    /// The organisation, in the place of the project's `org.id`.
    public var organisation: String?
    /// Where this backend is reached from outside, in the place of the project's `org.public_url`.
    public var publicURL: String?
    /// Behaviour of applications.
    public var connectors: [any Connector]
    /// Applications as data, beside those of the project's folders.
    public var manifests: [AppManifest]
    /// Opens authorize pages in `connect`.
    public var presenter: (any Presenter)?
    /// Opens them in the system's browser, where there is no presenter.
    public var browser: Bool
    /// Runs workflows.
    public var runner: (any WorkflowRunner)?
    /// Who asks, for the audit; default `organisation`.
    public var actor: String?
    /// Enables the sandbox applications, where the project is given as a value or not at all.
    public var sandbox: Bool
    /// Sends the organisation's webhooks from this engine.
    public var deliverWebhooks: Bool
    /// How long things take; mostly for tests.
    public var timings: Timings?
    /// A clock that tests move.
    public var clock: FixedClock?

    /// The project itself, as JSON.
    var projectJSON: JSON?
    /// Makes a new master key that nobody keeps, for stores in memory.
    var throwawayKey = false
    /// Consents at the sandbox as this user.
    var consents: String?

    /// Options; what is left out keeps its default.
    public init(
        projectFile: String? = nil,
        project: Project? = nil,
        environment: SmaltEnvironment = .test,
        key: Secret? = nil,
        keyFile: String? = nil,
        keys: (any KeyProvider)? = nil,
        organisation: String? = nil,
        publicURL: String? = nil,
        connectors: [any Connector] = [],
        manifests: [AppManifest] = [],
        presenter: (any Presenter)? = nil,
        browser: Bool = false,
        runner: (any WorkflowRunner)? = nil,
        actor: String? = nil,
        sandbox: Bool = false,
        deliverWebhooks: Bool = false,
        timings: Timings? = nil,
        clock: FixedClock? = nil
    ) {
        (self.projectFile, self.project, self.environment) = (projectFile, project, environment)
        (self.key, self.keyFile, self.keys) = (key, keyFile, keys)
        (self.organisation, self.publicURL, self.connectors, self.manifests) = (organisation, publicURL, connectors, manifests)
        (self.presenter, self.browser, self.runner, self.actor) = (presenter, browser, runner, actor)
        (self.sandbox, self.deliverWebhooks, self.timings, self.clock) = (sandbox, deliverWebhooks, timings, clock)
    }

    func home() throws -> Home? {
        let named = Dictionary(connectors.map { ($0.slug, $0) }, uniquingKeysWith: { one, _ in one })
        if named.count != connectors.count {
            throw SmaltError.here(.invalid, .invalidRequest, "Two connectors are given for one application. Give one that does both.")
        }
        if named.isEmpty && presenter == nil && keys == nil && runner == nil { return nil }
        return Home(connectors: named, presenter: presenter, keys: keys, runner: runner)
    }

    func described(_ path: String?) throws -> Fields {
        let given: [(any Encodable)?] = [projectFile, project, projectJSON]
        let projects = given.compactMap { $0 }
        if projects.count > 1 { throw SmaltError.here(.invalid, .invalidRequest, "Two projects are given. Name one: its file, or itself.") }
        let presenter: (any Encodable)? = consents.map { ["consents": $0] } ?? (browser ? "browser" : nil)
        return [
            "path": path, "project": projects.first, "environment": environment, "key": key, "key_file": keyFile,
            "throwaway_key": throwawayKey, "organisation": organisation, "public_url": publicURL, "manifests": manifests,
            "presenter": presenter, "actor": actor, "sandbox": sandbox, "deliver_webhooks": deliverWebhooks, "timings": timings,
        ]
    }
}

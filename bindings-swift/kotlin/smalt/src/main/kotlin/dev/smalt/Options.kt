package dev.smalt

import dev.smalt.testing.FixedClock
import kotlin.time.Duration
import kotlin.time.DurationUnit
import kotlin.time.toKotlinDuration
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject

/** How calls to a server are made. What is left as it is keeps its default. */
public abstract class ServerOptions internal constructor() {
    /** How long a call may take in all, tries and waits included. Default 60 s. */
    public var timeout: Duration? = null

    /** How long one try may take. Default 30 s. */
    public var attemptTimeout: Duration? = null

    /** The time to connect, within a try's. Default 5 s. */
    public var connectTimeout: Duration? = null

    /** How often a call is sent again, for each sort of trouble; 0: never. Default 2. */
    public var retries: Int? = null

    /** The largest answer, in bytes. Default 16 MiB. */
    public var maxAnswer: Long? = null

    /** Allows plain http to an address that is not this machine. */
    public var plainHttp: Boolean = false

    /** A certificate authority to trust beside the platform's: PEM. On Android in place of the device's, which are trusted otherwise. */
    public var certificateAuthority: String? = null

    /** Whether the proxies of the environment are used. Default true. */
    public var proxy: Boolean = true

    /** Opens authorize pages. */
    public var presenter: Presenter? = null

    /** [timeout] for Java. */
    public fun timeout(time: java.time.Duration) {
        timeout = time.toKotlinDuration()
    }

    /** [attemptTimeout] for Java. */
    public fun attemptTimeout(time: java.time.Duration) {
        attemptTimeout = time.toKotlinDuration()
    }

    /** [connectTimeout] for Java. */
    public fun connectTimeout(time: java.time.Duration) {
        connectTimeout = time.toKotlinDuration()
    }

    internal fun shared(
        into: Entries,
        server: String,
    ) {
        fun seconds(time: Duration) = json(time.toDouble(DurationUnit.SECONDS))
        into.put("url", json(server))
        into.putSome("timeout", timeout) { seconds(it) }
        into.putSome("attempt_timeout", attemptTimeout) { seconds(it) }
        into.putSome("connect_timeout", connectTimeout) { seconds(it) }
        into.putSome("retries", retries) { json(it) }
        into.putSome("max_answer", maxAnswer) { json(it) }
        into.put("plain_http", json(plainHttp))
        into.putSome("certificate_authority", certificateAuthority ?: Trust.ofDevice()) { json(it) }
        into.put("proxy", json(proxy))
    }
}

/** What a session at a server can be told. */
public class SessionOptions internal constructor() : ServerOptions() {
    internal fun described(
        server: String,
        token: Secret?,
    ): JsonObject =
        obj {
            shared(this, server)
            putSome("token", token) { json(it) }
        }
}

/** What a handle on a server can be told. */
public class RemoteOptions internal constructor() : ServerOptions() {
    /** Who asks, for the server's audit. */
    public var actor: String? = null

    internal fun described(
        server: String,
        key: Secret?,
    ): JsonObject =
        obj {
            shared(this, server)
            putSome("api_key", key) { json(it) }
            putSome("actor", actor) { json(it) }
        }
}

/** What an embedded engine can be told. What is left as it is keeps its default. */
public class EmbeddedOptions internal constructor() {
    /** The project file's path; it is read again when it changes. */
    public var projectFile: String? = null

    /** The project itself. */
    public var project: Project? = null

    /** The project itself, as JSON. */
    internal var projectJson: JsonElement? = null

    /** Test (the default) or production. */
    public var environment: Environment = Environment.TEST

    /** The master key's text. Absent: [keyFile], [keys], then the variables `SMALT_KEY` and `SMALT_KEY_FILE`. */
    public var key: Secret? = null

    /** The file that holds the master key; `smalt init` makes one. */
    public var keyFile: String? = null

    /** A key provider, e.g. for a key management service. */
    public var keys: KeyProvider? = null

    /** The organisation, in the place of the project's `org.id`. */
    public var organisation: String? = null

    /** Where this backend is reached from outside, in the place of the project's `org.public_url`. */
    public var publicUrl: String? = null

    /** Behaviour of applications. */
    public val connectors: MutableList<Connector> = ArrayList()

    /** Applications as data, beside those of the project's folders. */
    public val manifests: MutableList<AppManifest> = ArrayList()

    /** Opens authorize pages in `connect`. */
    public var presenter: Presenter? = null

    /** Opens them in the system's browser, where there is no presenter. */
    public var browser: Boolean = false

    /** Runs workflows. */
    public var runner: WorkflowRunner? = null

    /** Who asks, for the audit; default `organisation`. */
    public var actor: String? = null

    /** Enables the sandbox applications, where the project is given as a value or not at all. */
    public var sandbox: Boolean = false

    /** Sends the organisation's webhooks from this engine. */
    public var deliverWebhooks: Boolean = false

    /** How long things take; mostly for tests. */
    public var timings: Timings? = null

    /** A clock that tests move. */
    public var clock: FixedClock? = null

    /** Makes a new master key that nobody keeps, for stores in memory. */
    internal var throwawayKey: Boolean = false

    /** Consents at the sandbox as this user. */
    internal var consents: String? = null

    internal fun home(): Home? {
        val named = connectors.associateBy { it.slug }
        require(named.size == connectors.size) { "two connectors are given for one application" }
        val any = named.isNotEmpty() || presenter != null || keys != null || runner != null
        return if (any) Home(named, presenter, keys, runner) else null
    }

    internal fun described(path: String?): JsonObject {
        val given = listOfNotNull(projectFile?.let { json(it) }, project?.json(), projectJson)
        require(given.size <= 1) { "name one project: its file, or itself" }
        return obj {
            putSome("path", path) { json(it) }
            putSome("project", given.firstOrNull()) { it }
            put("environment", json(environment.text))
            putSome("key", key) { json(it) }
            putSome("key_file", keyFile) { json(it) }
            put("throwaway_key", json(throwawayKey))
            putSome("organisation", organisation) { json(it) }
            putSome("public_url", publicUrl) { json(it) }
            put("manifests", array(manifests) { it.data })
            val presenters = consents?.let { user -> obj { put("consents", json(user)) } }
            putSome("presenter", presenters ?: if (browser) json("browser") else null) { it }
            putSome("actor", actor) { json(it) }
            put("sandbox", json(sandbox))
            put("deliver_webhooks", json(deliverWebhooks))
            putSome("timings", timings) { it.json() }
        }
    }
}

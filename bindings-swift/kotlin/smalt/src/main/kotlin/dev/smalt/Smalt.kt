package dev.smalt

import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.JsonObject

internal fun <T> blocking(call: suspend () -> T): T = runBlocking { call() }

/** One organisation in one environment. Close it: `Smalt.embedded("smalt.db").use { … }`. */
public class Smalt internal constructor(
    handle: Handle,
) : SmaltOperations(handle),
    AutoCloseable {
    /** What this backend can do. */
    public val capabilities: Capabilities get() = capabilitiesOf(parsed(native.capabilities(handle.engine.number)))

    /** The same for Java: every call is a future. */
    public val futures: JavaSmalt get() = JavaSmalt(this)

    /** The same, with a name for the audit: who asks, e.g. `worker-3`. */
    public fun actingAs(actor: String): Smalt = Smalt(handle.with(actor = actor))

    /** The same handle, whose calls take at most so long; then they end as `outcome_unknown`: what has an effect outside goes on. */
    public fun withTimeout(timeout: Duration?): Smalt = Smalt(handle.with(timeout = timeout))

    /** The organisation's authority over one linked account. No I/O: an unknown account is an error of the first verb. */
    public fun account(id: String): Account = Account(handle, id)

    /**
     * The session of a token.
     *
     * @throws SmaltException.Unauthenticated `invalid_token`, one answer for every way a token can be wrong.
     */
    public suspend fun session(token: Secret): Session {
        val info = verifySession(token)
        return Session(handle.with(token = info.token), info.accountId, info.token, info.expiresAt, owned = false)
    }

    /** The session of a token and the account that it should speak for. No I/O: whether it does shows at the first verb. */
    public fun sessionOf(
        token: Secret,
        accountId: String,
    ): Session = Session(handle.with(token = token), accountId, token, null, owned = false)

    /**
     * All linked accounts, newest first.
     *
     * @param search A part of the id or the name.
     */
    public fun accounts(search: String? = null): Flow<LinkedAccount> =
        flow {
            var cursor: String? = null
            do {
                val page = listAccounts(cursor = cursor, search = search, limit = 500)
                page.items.forEach { emit(it) }
                cursor = page.next
            } while (cursor != null)
        }

    /**
     * What happened since a cursor, oldest first.
     *
     * @param since Where the caller stopped; absent: from the oldest that is kept.
     * @param limit How many; 1 to 1,000, default 100.
     * @param wait How long to wait when there is none yet; default not at all.
     */
    public suspend fun eventsPage(
        since: String? = null,
        limit: Int? = null,
        wait: Duration? = null,
    ): Page<Event> {
        val request =
            obj {
                putSome("since", since) { json(it) }
                putSome("limit", limit) { json(it) }
                putSome("wait", wait) { json(it) }
            }
        return pageOf(handle.operation("events", request)) { eventOf(it) }
    }

    /**
     * What happened since a cursor, and what happens from now on: at least once, in order. Keep an event's `cursor` to go on after a
     * restart. Nothing is asked for that is not collected.
     *
     * @param since The cursor of the last event that was handled; absent: from the oldest that is kept.
     */
    public fun events(since: String? = null): Flow<Event> =
        flow {
            var cursor = since
            while (true) {
                for (event in eventsPage(since = cursor, wait = 20.seconds).items) {
                    emit(event)
                    cursor = event.cursor
                }
            }
        }

    /** Replaces the project of an embedded engine that has no project file. */
    public suspend fun setProject(project: Project) {
        handle.operation("set_project", project.json())
    }

    /** Writes what is outstanding and releases the store. Later calls end as `closed`. */
    public suspend fun shutdown(): Unit = handle.engine.close()

    /** As [shutdown], and blocks until that is done. */
    override fun close(): Unit = blocking { shutdown() }

    override fun toString(): String = "Smalt"

    public companion object {
        /**
         * The engine in this process, on one encrypted SQLite file that several processes may share.
         *
         * @param path The store's file, made when it is missing. Absent: in memory.
         * @param configure What else can be set.
         * @throws SmaltException.Configuration `key_missing`, `project_invalid`, …: the message names the cure.
         */
        public suspend fun embedded(
            path: String? = null,
            configure: EmbeddedOptions.() -> Unit = {},
        ): Smalt {
            val options = EmbeddedOptions().apply(configure)
            val home = options.home()
            try {
                val text = options.described(path).toString() + (home?.described(options.clock?.number) ?: clocked(options)).toString()
                val engine =
                    Port.call(unwanted = { native.release(longOf(parsed(it))) }) {
                        native.openEmbedded(Port.number, it, text.encodeToByteArray())
                    }
                return Smalt(Handle(Engine(longOf(parsed(engine)), home, hasStore = true)))
            } catch (refused: Throwable) {
                home?.let { Homes.remove(it) }
                throw refused
            }
        }

        private fun clocked(options: EmbeddedOptions): JsonObject = obj { putSome("clock", options.clock) { json(it.number) } }

        /**
         * For tests, offline and ready: in memory, with a throw-away key and the sandbox applications; consent is scripted.
         *
         * @param configure What else can be set, e.g. your project; a project file enables the sandbox itself.
         */
        public suspend fun sandbox(configure: EmbeddedOptions.() -> Unit = {}): Smalt =
            embedded {
                throwawayKey = true
                consents = "ada"
                configure()
                sandbox = projectFile == null
            }

        /**
         * The organisation's authority at a server: `smalt serve`, or the hosted service. Whether it is there shows at the first call. No I/O,
         * but on Android, as of a [Session].
         *
         * @param server The server's address; it may end in a path.
         * @param apiKey The organisation's API key, which also says which environment is meant. Absent: the variable `SMALT_API_KEY`.
         * @param configure What else can be set.
         * @throws SmaltException.Invalid `invalid_request` for an address or a key that cannot be one; `address_refused` for plain http to
         *   another machine.
         */
        @JvmStatic
        @JvmOverloads
        public fun remote(
            server: String,
            apiKey: Secret? = null,
            configure: RemoteOptions.() -> Unit = {},
        ): Smalt {
            val options = RemoteOptions().apply(configure)
            val home = options.presenter?.let { Home(presenter = it) }
            try {
                val text = options.described(server, apiKey).toString() + (home?.described(null) ?: obj {}).toString()
                return Smalt(Handle(Engine(native.openRemote(Port.number, text.encodeToByteArray()), home, hasStore = false)))
            } catch (refused: Throwable) {
                home?.let { Homes.remove(it) }
                throw refused
            }
        }

        /** A new master key's text. */
        @JvmStatic
        public fun makeKey(): Secret = Secret(native.makeKey())

        /** [embedded] for Java. */
        @JvmStatic
        @JvmOverloads
        public fun open(
            path: String? = null,
            configure: java.util.function.Consumer<EmbeddedOptions> = java.util.function.Consumer {},
        ): java.util.concurrent.CompletableFuture<Smalt> = future { embedded(path) { configure.accept(this) } }

        /** [sandbox] for Java. */
        @JvmStatic
        @JvmOverloads
        public fun openSandbox(
            configure: java.util.function.Consumer<EmbeddedOptions> = java.util.function.Consumer {},
        ): java.util.concurrent.CompletableFuture<Smalt> = future { sandbox { configure.accept(this) } }

        /** [remote] for Java, with options. */
        @JvmStatic
        public fun openRemote(
            server: String,
            apiKey: Secret?,
            configure: java.util.function.Consumer<RemoteOptions>,
        ): Smalt = remote(server, apiKey) { configure.accept(this) }
    }
}

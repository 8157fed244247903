package dev.smalt

import java.time.Instant
import java.util.concurrent.CompletionStage
import java.util.function.Consumer
import java.util.function.Supplier
import kotlin.time.Duration
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.future.await
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject

/**
 * The organisation's authority over one linked account. No I/O until a verb is called; an unknown account is an error of that verb
 * (`linked_account_not_found`), never made by accident.
 */
public class Account internal constructor(
    handle: Handle,
    id: String,
) : AccountOperations(handle, id) {
    /** The organisation's id for the customer. */
    public val accountId: String get() = id

    /** The same for Java: every call is a future. */
    public val futures: JavaAccount get() = JavaAccount(this)

    /** The same handle, whose calls take at most so long; then they end as `outcome_unknown`: what has an effect outside goes on. */
    public fun withTimeout(timeout: Duration?): Account = Account(handle.with(timeout = timeout), id)

    /**
     * Reads the linked account.
     *
     * @throws SmaltException.NotFound `linked_account_not_found`.
     */
    public suspend fun get(): LinkedAccount = linkedAccountOf(handle.operation("get_account", obj { put("account", json(id)) }))

    /** Makes the linked account if it is missing. */
    public suspend fun ensure(): LinkedAccount = upsertedAccountOf(handle.operation("upsert_account", obj { put("id", json(id)) })).account

    /** Deletes the linked account with everything of it; grants are revoked. */
    public suspend fun delete() {
        handle.operation("delete_account", obj { put("account", json(id)) })
    }

    /**
     * A session for a browser, a phone or an SDK: reused while half of its life remains.
     *
     * @param force Makes a new one whatever the last has left.
     */
    public suspend fun session(force: Boolean = false): Session {
        val request =
            obj {
                put("account", json(id))
                put("force", json(force))
            }
        val info = sessionInfoOf(handle.operation("create_session", request))
        return Session(handle.with(token = info.token), info.accountId, info.token, info.expiresAt, owned = false)
    }

    /**
     * A credential that is valid now: renewed if needed, at most once by anyone.
     *
     * @param application The application's slug.
     * @param connection The connection; absent: the default one.
     * @throws SmaltException.Conflict `not_connected`.
     * @throws SmaltException.Reauth `reauth_required`: the user must connect again.
     * @throws SmaltException.Provider `refresh_failed`: try again after `retryAfter`.
     */
    public suspend fun credential(
        application: String,
        connection: String? = null,
    ): Credential =
        handle.ready("credential", id, application, connection) {
            obj {
                put("account", json(id))
                put("application", json(application))
                putSome("connection", connection) { json(it) }
            }
        }

    /**
     * An authenticated call. The provider's answer is returned whatever its status.
     *
     * @param application The application's slug.
     * @param method `GET`, `POST`, …
     * @param path A path below the application's base URL, or a full URL on its host.
     * @param query Query parameters.
     * @param headers More headers.
     * @param body The body.
     * @param connection The connection; absent: the default one.
     * @param timeout At most; default 30 s.
     * @param maxBody The answer's largest size in bytes; default 8 MiB.
     * @throws SmaltException.Invalid `host_mismatch` when the path leads to another host.
     * @throws SmaltException.Provider `provider_unreachable`, `answer_too_large`; and as [credential].
     */
    public suspend fun request(
        application: String,
        method: String,
        path: String,
        query: Map<String, String> = emptyMap(),
        headers: Map<String, String> = emptyMap(),
        body: Body? = null,
        connection: String? = null,
        timeout: Duration? = null,
        maxBody: Long? = null,
    ): ApiAnswer {
        val request = apiRequest(id, application, method, path, query, headers, body, connection, timeout, maxBody)
        return apiAnswerOf(handle.operation("request", JsonObject(request)))
    }

    /**
     * An authenticated call whose body comes in parts: the flow is collected no faster than it is sent, and no further once the call has ended.
     * The provider's answer is returned whatever its status, whole, up to 8 MiB. A body that throws cuts the upload off, which the provider does
     * not take for whole; its exception comes out.
     *
     * @param application The application's slug.
     * @param method `POST`, `PUT`, …
     * @param path A path below the application's base URL, or a full URL on its host.
     * @param body The parts, in their order and of any size. Collected once.
     * @param contentType The body's media type.
     * @param length How many bytes the body has; absent: it is sent in chunks, which not every provider takes.
     * @param query Query parameters.
     * @param headers More headers.
     * @param connection The connection; absent: the default one.
     * @param timeout How long either side may be silent; default 30 s.
     * @param maxBody The most bytes that are sent, and that are answered; default 1 GiB, and 8 MiB of the answer.
     * @throws SmaltException.Provider `upload_not_repeated` when the token died meanwhile: it is renewed then, and the upload can be sent
     *   again from its beginning. And as [request].
     */
    public suspend fun upload(
        application: String,
        method: String,
        path: String,
        body: Flow<ByteArray>,
        contentType: String = "application/octet-stream",
        length: Long? = null,
        query: Map<String, String> = emptyMap(),
        headers: Map<String, String> = emptyMap(),
        connection: String? = null,
        timeout: Duration? = null,
        maxBody: Long? = null,
    ): ApiAnswer {
        val request = apiRequest(id, application, method, path, query, headers, null, connection, timeout, maxBody)
        val upload =
            obj {
                put("request", JsonObject(request))
                put("content_type", json(contentType))
                putSome("length", length) { json(it) }
            }
        return apiAnswerOf(handle.upload(upload, body))
    }

    /**
     * An authenticated call for one page of a provider's list. Takes what [request] takes.
     *
     * @param cursor Where the last page ended; absent: the first page.
     * @param pagination How this list comes in pages; default as the application's manifest says.
     */
    public suspend fun requestPage(
        application: String,
        method: String,
        path: String,
        cursor: String? = null,
        pagination: Pagination? = null,
        query: Map<String, String> = emptyMap(),
        headers: Map<String, String> = emptyMap(),
        body: Body? = null,
        connection: String? = null,
        timeout: Duration? = null,
        maxBody: Long? = null,
    ): ApiPage {
        val request = apiRequest(id, application, method, path, query, headers, body, connection, timeout, maxBody)
        request.putSome("cursor", cursor) { json(it) }
        request.putSome("pagination", pagination) { it.json() }
        return apiPageOf(handle.operation("request_page", JsonObject(request)))
    }

    /**
     * A provider's list, item by item. Nothing is fetched before it is asked for.
     *
     * @param atMost How many pages may be fetched; one more is an error (`answer_too_large`).
     * @throws SmaltException.Provider `provider_error` when a page was answered with a status of failure.
     */
    public fun pages(
        application: String,
        method: String,
        path: String,
        pagination: Pagination? = null,
        query: Map<String, String> = emptyMap(),
        atMost: Int = 1000,
    ): Flow<JsonElement> =
        flow {
            var cursor: String? = null
            repeat(atMost) {
                val page = requestPage(application, method, path, cursor, pagination, query)
                if (!page.answer.ok) {
                    val status = page.answer.status.toString()
                    throw failure("provider", "provider_error", "A page was answered with $status.", mapOf("status" to status))
                }
                page.items.forEach { emit(it) }
                cursor = page.next ?: return@flow
            }
            throw failure("provider", "answer_too_large", "The list has more than $atMost pages. Ask for less, or raise the limit.")
        }

    override fun toString(): String = "Account($id)"
}

/** A session token of one linked account, and the verbs that it may use. */
public class Session internal constructor(
    handle: Handle,
    id: String,
    private val own: Secret?,
    /** When it ends by itself; `null` where that is not known. */
    public val expiresAt: Instant?,
    private val owned: Boolean,
) : SharedOperations(handle, id),
    AutoCloseable {
    /** The bearer token; give it to the user's browser or phone. Empty for a session whose tokens come from a provider. */
    public val token: Secret get() = own ?: Secret("")

    /** The linked account that it speaks for. Empty where only the server knows it. */
    public val accountId: String get() = id

    /** The same for Java: every call is a future. */
    public val futures: JavaSession get() = JavaSession(this)

    /** The same handle, whose calls take at most so long; then they end as `outcome_unknown`: what has an effect outside goes on. */
    public fun withTimeout(timeout: Duration?): Session = Session(handle.with(timeout = timeout), id, own, expiresAt, owned = false)

    /**
     * What is known of the session now.
     *
     * @throws SmaltException.Unauthenticated `invalid_token` when it is not good any more.
     */
    public suspend fun info(): SessionInfo = sessionInfoOf(handle.operation("verify_session", obj { put("token", json(token)) }))

    /** Ends it at once, everywhere. False when it had ended already. */
    public suspend fun revoke(): Boolean = booleanOf(handle.operation("revoke_session", obj { put("token", json(token)) }))

    /** Lets go of a session that was made from a server's address; nothing for one of an account. The token stays good. */
    override fun close() {
        if (owned) blocking { handle.engine.close() }
    }

    override fun toString(): String = "Session($id)"

    public companion object {
        /**
         * One linked account's authority at a server, for a phone or a desktop, which holds no API key. Nobody is asked before the first
         * call. No I/O, but on Android: the first session or server's handle of a process reads the device's certificate authorities, unless
         * one is named. Make it off the main thread.
         *
         * @param server The server's address; it may end in a path.
         * @param configure What else can be set.
         * @param tokens Gives tokens, which your backend makes with `account.session()`: asked before the first call and whenever
         *   one has ended, once for all calls that wait.
         * @throws SmaltException.Invalid `address_refused` for plain http to another machine.
         * @throws SmaltException.Unsupported `unsupported` on an Android device whose certificate authorities can't be read.
         */
        @JvmStatic
        @JvmName("at")
        public operator fun invoke(
            server: String,
            configure: SessionOptions.() -> Unit = {},
            tokens: TokenProvider,
        ): Session {
            val options = SessionOptions().apply(configure)
            val home = Home(presenter = options.presenter, tokens = tokens)
            return made(home, options.described(server, null), Secret(""))
        }

        /** The same with a token that is known; when it ends, calls answer `invalid_token`. */
        @JvmStatic
        @JvmName("of")
        public operator fun invoke(
            server: String,
            token: Secret,
            configure: SessionOptions.() -> Unit = {},
        ): Session {
            val options = SessionOptions().apply(configure)
            val home = options.presenter?.let { Home(presenter = it) }
            return made(home, options.described(server, token), token)
        }

        /** The same for Java: [tokens] gives the token later, and blocks nobody. */
        @JvmStatic
        @JvmOverloads
        public fun open(
            server: String,
            tokens: Supplier<out CompletionStage<Secret>>,
            configure: Consumer<SessionOptions> = Consumer {},
        ): Session = invoke(server, { configure.accept(this) }) { tokens.get().await() }

        /** The same for Java with a token that is known. */
        @JvmStatic
        @JvmOverloads
        public fun open(
            server: String,
            token: Secret,
            configure: Consumer<SessionOptions> = Consumer {},
        ): Session = invoke(server, token) { configure.accept(this) }

        private fun made(
            home: Home?,
            options: JsonObject,
            token: Secret,
        ): Session {
            val engine =
                try {
                    val text = options.toString() + (home?.described(null) ?: obj {}).toString()
                    native.openSession(Port.number, text.encodeToByteArray())
                } catch (refused: Throwable) {
                    home?.let { Homes.remove(it) }
                    throw refused
                }
            return Session(Handle(Engine(engine, home, hasStore = false), token), "", token, null, owned = true)
        }
    }
}

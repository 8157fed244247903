package dev.smalt

import java.io.InputStream
import java.time.Duration
import java.util.concurrent.CompletableFuture
import java.util.function.Consumer
import kotlin.time.toKotlinDuration
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.future.future
import kotlinx.coroutines.runInterruptible
import kotlinx.serialization.json.JsonElement

// What Java calls: the same verbs as futures. Cancelling a future cancels its call.

internal fun <T> future(
    where: CoroutineDispatcher = Dispatchers.Default,
    call: suspend () -> T,
): CompletableFuture<T> {
    val within = Within.here?.let { Within(it) }
    val context = if (within == null) where else where + within
    return CoroutineScope(context).future { call() }
}

internal fun futureOfNothing(call: suspend () -> Unit): CompletableFuture<Void?> =
    future {
        call()
        null
    }

/** Each of them, one after the other: the next is fetched when the last was taken. Whoever takes them may block. */
private fun <T> each(
    its: Flow<T>,
    taker: Consumer<in T>,
): CompletableFuture<Void?> =
    future(Dispatchers.IO) {
        its.collect { taker.accept(it) }
        null
    }

/** What stands in a stream, read when it is asked for, where threads may block. */
private fun parts(its: InputStream): Flow<ByteArray> =
    flow {
        val room = ByteArray(PART)
        while (true) {
            val read = runInterruptible(Dispatchers.IO) { its.read(room) }
            if (read < 0) break
            emit(room.copyOf(read))
        }
    }

/** [Connecting] for Java. */
public abstract class ConnectingFutures internal constructor(
    private val its: Connecting,
) {
    /** Connects an application; see [Connecting.connect]. */
    @JvmOverloads
    public fun connect(
        application: String,
        inputs: Map<String, Secret> = emptyMap(),
        authType: AuthType? = null,
        scopes: List<String>? = null,
        connection: String? = null,
        device: Boolean = false,
        timeout: Duration? = null,
    ): CompletableFuture<Connection> =
        future { its.connect(application, inputs, authType, scopes, connection, device, timeout?.toKotlinDuration()) }

    /** The connection that a flow makes which was begun elsewhere; see [Connecting.resumeConnect]. */
    @JvmOverloads
    public fun resumeConnect(
        flow: String,
        returned: String? = null,
    ): CompletableFuture<Connection> = future { its.resumeConnect(flow, returned) }
}

/** [Smalt] for Java. */
public class JavaSmalt internal constructor(
    private val its: Smalt,
) : SmaltFutures(its) {
    /** What happened since a cursor, oldest first; see [Smalt.eventsPage]. */
    @JvmOverloads
    public fun eventsPage(
        since: String? = null,
        limit: Int? = null,
        wait: Duration? = null,
    ): CompletableFuture<Page<Event>> = future { its.eventsPage(since, limit, wait?.toKotlinDuration()) }

    /**
     * What happened since a cursor and what happens from now on, given to [taker] one by one; see [Smalt.events]. It ends when it is cancelled, or
     * with what [taker] throws.
     */
    @JvmOverloads
    public fun events(
        since: String? = null,
        taker: Consumer<Event>,
    ): CompletableFuture<Void?> = each(its.events(since), taker)

    /** All linked accounts, newest first, given to [taker] one by one; see [Smalt.accounts]. */
    @JvmOverloads
    public fun accounts(
        search: String? = null,
        taker: Consumer<LinkedAccount>,
    ): CompletableFuture<Void?> = each(its.accounts(search), taker)

    /** The session of a token; see [Smalt.session]. */
    public fun session(token: Secret): CompletableFuture<Session> = future { its.session(token) }

    /** Replaces the project; see [Smalt.setProject]. */
    public fun setProject(project: Project): CompletableFuture<Void?> = futureOfNothing { its.setProject(project) }

    /** The same, whose calls take at most so long; see [Smalt.withTimeout]. */
    public fun withTimeout(timeout: Duration): JavaSmalt = its.withTimeout(timeout.toKotlinDuration()).futures

    /** Writes what is outstanding and releases the store. */
    public fun shutdown(): CompletableFuture<Void?> = futureOfNothing { its.shutdown() }
}

/** [Account] for Java. */
public class JavaAccount internal constructor(
    private val its: Account,
) : AccountFutures(its) {
    /** Reads the linked account. */
    public fun get(): CompletableFuture<LinkedAccount> = future { its.get() }

    /** Makes the linked account if it is missing. */
    public fun ensure(): CompletableFuture<LinkedAccount> = future { its.ensure() }

    /** Deletes the linked account with everything of it. */
    public fun delete(): CompletableFuture<Void?> = futureOfNothing { its.delete() }

    /** A session; see [Account.session]. */
    @JvmOverloads
    public fun session(force: Boolean = false): CompletableFuture<Session> = future { its.session(force) }

    /** A credential that is valid now; see [Account.credential]. */
    @JvmOverloads
    public fun credential(
        application: String,
        connection: String? = null,
    ): CompletableFuture<Credential> = future { its.credential(application, connection) }

    /** An authenticated call; see [Account.request]. */
    @JvmOverloads
    public fun request(
        application: String,
        method: String,
        path: String,
        query: Map<String, String> = emptyMap(),
        headers: Map<String, String> = emptyMap(),
        body: Body? = null,
        connection: String? = null,
        timeout: Duration? = null,
        maxBody: Long? = null,
    ): CompletableFuture<ApiAnswer> =
        future { its.request(application, method, path, query, headers, body, connection, timeout?.toKotlinDuration(), maxBody) }

    /**
     * An authenticated call whose body is read from a stream, no faster than it is sent; see [Account.upload]. The stream is the caller's to close,
     * after the future has ended; a read that waits then is interrupted.
     */
    @JvmOverloads
    public fun upload(
        application: String,
        method: String,
        path: String,
        body: InputStream,
        contentType: String = "application/octet-stream",
        length: Long? = null,
        query: Map<String, String> = emptyMap(),
        headers: Map<String, String> = emptyMap(),
        connection: String? = null,
        timeout: Duration? = null,
        maxBody: Long? = null,
    ): CompletableFuture<ApiAnswer> =
        future {
            val time = timeout?.toKotlinDuration()
            its.upload(application, method, path, parts(body), contentType, length, query, headers, connection, time, maxBody)
        }

    /** An authenticated call for one page of a provider's list; see [Account.requestPage]. */
    @JvmOverloads
    public fun requestPage(
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
    ): CompletableFuture<ApiPage> =
        future {
            val time = timeout?.toKotlinDuration()
            its.requestPage(application, method, path, cursor, pagination, query, headers, body, connection, time, maxBody)
        }

    /** A provider's list, given to [taker] item by item; see [Account.pages]. */
    @JvmOverloads
    public fun pages(
        application: String,
        method: String,
        path: String,
        pagination: Pagination? = null,
        query: Map<String, String> = emptyMap(),
        atMost: Int = 1000,
        taker: Consumer<JsonElement>,
    ): CompletableFuture<Void?> = each(its.pages(application, method, path, pagination, query, atMost), taker)

    /** The same, whose calls take at most so long; see [Account.withTimeout]. */
    public fun withTimeout(timeout: Duration): JavaAccount = its.withTimeout(timeout.toKotlinDuration()).futures
}

/** [Session] for Java. */
public class JavaSession internal constructor(
    private val its: Session,
) : SharedFutures(its) {
    /** What is known of the session now. */
    public fun info(): CompletableFuture<SessionInfo> = future { its.info() }

    /** Ends it at once, everywhere. */
    public fun revoke(): CompletableFuture<Boolean> = future { its.revoke() }

    /** The same, whose calls take at most so long; see [Session.withTimeout]. */
    public fun withTimeout(timeout: Duration): JavaSession = its.withTimeout(timeout.toKotlinDuration()).futures
}

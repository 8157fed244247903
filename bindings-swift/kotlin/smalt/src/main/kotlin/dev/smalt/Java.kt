package dev.smalt

import java.util.concurrent.CompletableFuture
import kotlin.time.toKotlinDuration
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.future.future

// What Java calls: the same verbs as futures. Cancelling a future cancels its call.

internal fun <T> future(call: suspend () -> T): CompletableFuture<T> {
    val within = Within.here?.let { Within(it) }
    val context = if (within == null) Dispatchers.Default else Dispatchers.Default + within
    return CoroutineScope(context).future { call() }
}

internal fun futureOfNothing(call: suspend () -> Unit): CompletableFuture<Void?> =
    future {
        call()
        null
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
    ): CompletableFuture<Connection> = future { its.connect(application, inputs) }

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
        wait: java.time.Duration? = null,
    ): CompletableFuture<Page<Event>> = future { its.eventsPage(since, limit, wait?.toKotlinDuration()) }

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
    ): CompletableFuture<ApiAnswer> = future { its.request(application, method, path, query, headers, body) }
}

/** [Session] for Java. */
public class JavaSession internal constructor(
    private val its: Session,
) : SharedFutures(its) {
    /** What is known of the session now. */
    public fun info(): CompletableFuture<SessionInfo> = future { its.info() }

    /** Ends it at once, everywhere. */
    public fun revoke(): CompletableFuture<Boolean> = future { its.revoke() }
}

package dev.smalt

import java.lang.ref.WeakReference
import java.util.concurrent.atomic.AtomicBoolean
import kotlin.time.Duration
import kotlin.time.DurationUnit
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.flow.takeWhile
import kotlinx.coroutines.selects.select
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject

/** How many bytes of an upload cross at once, at most. */
internal const val PART = 64 shl 10

/** An engine, a handle on a server, or a session at one, as the native half knows it. */
internal class Engine(
    val number: Long,
    val home: Home?,
    private val hasStore: Boolean,
) {
    private val closed = AtomicBoolean()

    /** Where credentials come from memory. */
    val seats: Seats? = if (hasStore) Seats(number) else null

    init {
        Port.watch(this, number, home)
    }

    val isClosed: Boolean get() = closed.get()

    /** Writes what is outstanding, and lets go of it. Again is nothing. */
    suspend fun close() {
        if (!closed.compareAndSet(false, true)) return
        try {
            if (hasStore) Port.call { native.callStart(number, it, """{"op":"close"}""".encodeToByteArray()) }
        } finally {
            seats?.clear()
            Port.unwatch(number)
            native.release(number)
            home?.let { Homes.remove(it) }
        }
    }
}

/** What is asked of an engine, in whose name, and how long it may take. */
internal class Handle(
    val engine: Engine,
    private val token: Secret? = null,
    private val actor: String? = null,
    private val timeout: Duration? = null,
) {
    init {
        // For the plugins of it, which must not hold it.
        engine.home?.let { if (it.engine?.get() == null) it.engine = WeakReference(engine) }
    }

    fun with(
        token: Secret? = this.token,
        actor: String? = this.actor,
        timeout: Duration? = this.timeout,
    ): Handle = Handle(engine, token, actor, timeout)

    private fun text(
        op: String,
        request: JsonObject,
        within: Long?,
    ): ByteArray {
        val head =
            obj {
                put("op", json(op))
                putSome("token", token) { json(it) }
                putSome("actor", actor) { json(it) }
                putSome("within", within) { json(it) }
                putSome("timeout", timeout) { json(it) }
            }
        return (head.toString() + request.toString()).encodeToByteArray()
    }

    private suspend fun answer(
        op: String,
        request: JsonObject,
        within: Long?,
    ): ByteArray {
        val text = text(op, request, within)
        return Port.call { native.callStart(engine.number, it, text) }
    }

    /** An operation, by its name. */
    suspend fun operation(
        op: String,
        request: JsonObject,
        within: Long? = Within.here,
    ): JsonElement = parsed(answer(op, request, within))

    /** The ready operation: from memory where that can be. Host code inside a plugin's call waits its turn. */
    suspend fun ready(
        op: String,
        account: String,
        application: String,
        connection: String?,
        request: () -> JsonObject,
    ): Credential {
        currentCoroutineContext().ensureActive()
        val within = Within.here
        val seats = if (within == null && token == null) engine.seats else null
        val place = Seats.Place(actor, account, application, connection)
        seats?.ready(place)?.let { return it }
        val asked = request()
        return waited(op, asked, within).also { seats?.take(place) { text(op, asked, null) } }
    }

    /** The same, by a call. */
    suspend fun waited(
        op: String,
        request: JsonObject,
        within: Long? = Within.here,
    ): Credential = Packed.read(answer(op, request, within)) { credential() }

    /**
     * A call whose body is handed over while it is under way, each part when there is room for it. The body that fails ends the call, and
     * the call that ends the reading of the body.
     */
    suspend fun upload(
        request: JsonObject,
        body: Flow<ByteArray>,
    ): JsonElement {
        val text = text("upload", request, Within.here)
        return coroutineScope {
            val begun = CompletableDeferred<Long>()
            val answer =
                async {
                    Port.call { number ->
                        native.callStart(engine.number, number, text)
                        begun.complete(number)
                    }
                }
            val given = async { give(begun.await(), body) }
            // Whatever the body throws, also an exception of cancellation, comes out here.
            val json =
                select {
                    answer.onAwait {
                        given.cancel()
                        it
                    }
                    given.onAwait { answer.await() }
                }
            parsed(json)
        }
    }

    /** Hands a body over to the call of this number, as long as that takes it. What is not whole then is cut off with the call. */
    private suspend fun give(
        upload: Long,
        body: Flow<ByteArray>,
    ) {
        val head =
            obj {
                put("op", json("upload_part"))
                put("upload", json(upload))
            }.bytes()
        var wanted = true

        suspend fun part(part: ByteArray) {
            val text = head + part
            wanted = booleanOf(parsed(Port.call { native.callStart(engine.number, it, text) }))
        }
        body
            .takeWhile { whole ->
                for (start in whole.indices step PART) {
                    if (wanted) part(whole.copyOfRange(start, minOf(start + PART, whole.size)))
                }
                wanted
            }.collect()
        // An empty one is the end.
        if (wanted) part(ByteArray(0))
    }
}

/** A body of an authenticated call. */
public class Body private constructor(
    internal val type: String,
    internal val content: ByteArray,
) {
    public companion object {
        /** JSON. */
        @JvmStatic
        public fun json(value: JsonElement): Body = Body("application/json", value.bytes())

        /** A form. */
        @JvmStatic
        public fun form(values: Map<String, String>): Body {
            val encoded =
                values.entries.joinToString("&") { (name, value) ->
                    java.net.URLEncoder.encode(name, "UTF-8") + "=" + java.net.URLEncoder.encode(value, "UTF-8")
                }
            return Body("application/x-www-form-urlencoded", encoded.encodeToByteArray())
        }

        /** As it is. */
        @JvmStatic
        @JvmOverloads
        public fun of(
            content: ByteArray,
            type: String = "application/octet-stream",
        ): Body = Body(type, content)
    }
}

internal fun apiRequest(
    account: String,
    application: String,
    method: String,
    path: String,
    query: Map<String, String>,
    headers: Map<String, String>,
    body: Body?,
    connection: String?,
    timeout: Duration?,
    maxBody: Long?,
): MutableMap<String, JsonElement> {
    val made = LinkedHashMap<String, JsonElement>()
    made["account"] = json(account)
    made["application"] = json(application)
    made["method"] = json(method)
    made["path"] = json(path)
    made["query"] = pairs(query)
    made["headers"] = pairs(headers)
    made.putSome("body", body) {
        obj {
            put("content_type", json(it.type))
            put("content", json(it.content))
        }
    }
    made.putSome("connection", connection) { json(it) }
    made.putSome("timeout", timeout) { json(it) }
    made.putSome("max_body", maxBody) { json(it) }
    return made
}

/** What can connect an application. */
public abstract class Connecting internal constructor(
    internal val handle: Handle,
    internal val id: String,
) {
    /**
     * Connects an application: shows the authorize page with the presenter, or verifies and saves the inputs.
     *
     * @param application The application's slug.
     * @param inputs What the user entered, by input name.
     * @param authType Which way to authorise, where the application offers several; default its first.
     * @param scopes Scopes to ask for, in place of the project's; required ones are always added.
     * @param connection The connection to authorise again.
     * @param device Takes the device flow (RFC 8628): the presenter shows a code, and the user enters it on any device.
     * @param timeout How long the user may take, above zero; then the flow is cancelled. Default, and at most: as long as the
     *   flow lives (`flow_expired`): 10 minutes for a page, and for a code what the provider says.
     * @throws SmaltException.Flow `user_cancelled`, `user_denied`, `flow_expired`; `presenter_required` where nothing can open a page: a web backend has `startConnect` and `finishConnect`.
     * @throws SmaltException.Invalid `credentials_rejected`, `invalid_inputs`; `invalid_request` for a `timeout` that is no time.
     * @throws SmaltException.Timeout `connect_timeout`.
     */
    public suspend fun connect(
        application: String,
        inputs: Map<String, Secret> = emptyMap(),
        authType: AuthType? = null,
        scopes: List<String>? = null,
        connection: String? = null,
        device: Boolean = false,
        timeout: Duration? = null,
    ): Connection {
        val options =
            obj {
                put("account", json(id))
                put("application", json(application))
                put("inputs", obj(inputs) { json(it) })
                putSome("auth_type", authType) { json(it.text) }
                putSome("scopes", scopes) { scopes -> array(scopes) { json(it) } }
                putSome("connection", connection) { json(it) }
                put("device", json(device))
                putSome("timeout", timeout) { json(it) }
            }
        return connectionOf(handle.operation("connect", options))
    }

    /**
     * The connection that a flow makes, in whatever process it was begun: for an app that was closed while its user was at the provider. Waits for
     * the flow's end, as long as it lives.
     *
     * @param flow The flow's id, of `startConnect`.
     * @param returned Where the user came back to: the `returnTo` of `startConnect`, with what stands in it. Its claim is spent.
     * @throws SmaltException Why the flow made none: `user_denied`, `flow_expired`, `flow_cancelled`, …; `claim_invalid` for what is no return of
     *   this flow; `flow_not_found`.
     */
    public suspend fun resumeConnect(
        flow: String,
        returned: String? = null,
    ): Connection {
        val options =
            obj {
                put("account", json(id))
                put("flow", json(flow))
                putSome("returned", returned) { json(it) }
            }
        return connectionOf(handle.operation("resume", options))
    }

    /** A handle on a connect flow. No I/O. */
    public fun flow(id: String): FlowHandle = FlowHandle(handle, this.id, id)
}

/** A connect flow that was begun: watch it, wait for it, cancel it. Any process can hold one. */
public class FlowHandle internal constructor(
    private val handle: Handle,
    private val account: String,
    /** The flow's id. */
    public val id: String,
) {
    private fun request(timeout: Duration? = null): JsonObject =
        obj {
            put("account", json(account))
            put("flow", json(id))
            putSome("timeout", timeout) { json(it.toDouble(DurationUnit.SECONDS)) }
        }

    /** Where it stands. */
    public suspend fun get(): ConnectFlow = connectFlowOf(handle.operation("get_flow", request()))

    /** Waits for its end, at most so long; answers it as it stands then. */
    public suspend fun wait(timeout: Duration? = null): ConnectFlow = connectFlowOf(handle.operation("wait_flow", request(timeout)))

    /** Cancels it, unless it has ended. */
    public suspend fun cancel(): ConnectFlow = connectFlowOf(handle.operation("cancel_flow", request()))

    override fun toString(): String = "FlowHandle($id)"
}

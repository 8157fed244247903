package dev.smalt

import dev.smalt.ffi.Failed
import kotlin.time.Duration
import kotlinx.serialization.json.JsonElement

/** What every error holds. */
internal class ErrorInfo(
    val code: String,
    val reason: String,
    val retry: Retry,
    val retryAfter: Duration?,
    val httpStatus: Int?,
    val requestId: String?,
    val context: Map<String, String>,
    val trace: String?,
)

/** The exceptions of plugins of this process, by their trace: an error that one became has it as its cause. */
internal object Causes {
    private const val MOST = 64
    private val known =
        object : LinkedHashMap<String, Throwable>() {
            override fun removeEldestEntry(eldest: Map.Entry<String, Throwable>): Boolean = size > MOST
        }

    fun keep(
        trace: String,
        cause: Throwable,
    ): Unit = synchronized(known) { known[trace] = cause }

    fun of(trace: String): Throwable? = synchronized(known) { known[trace] }
}

internal fun exceptionOf(json: JsonElement): SmaltException {
    val its = objectOf(json)
    val retry = need(its, "retry") { textOf(it) }
    val info =
        ErrorInfo(
            code = need(its, "code") { textOf(it) },
            reason = need(its, "reason") { textOf(it) },
            retry = Retry.entries.firstOrNull { it.text == retry } ?: Retry.NEVER,
            retryAfter = maybe(its, "retry_after") { durationOf(it) },
            httpStatus = maybe(its, "http_status") { intOf(it) },
            requestId = maybe(its, "request_id") { textOf(it) },
            context = maybe(its, "context") { context -> mapIn(context) { textOf(it) } } ?: emptyMap(),
            trace = maybe(its, "trace") { textOf(it) },
        )
    val made = SmaltException.of(need(its, "kind") { textOf(it) }, info)
    info.trace?.let { Causes.of(it) }?.let { made.initCause(it) }
    return made
}

/** An error that this package finds itself. */
internal fun failure(
    kind: String,
    code: String,
    reason: String,
    context: Map<String, String> = emptyMap(),
): SmaltException = SmaltException.of(kind, ErrorInfo(code, reason, Retry.NEVER, null, null, null, context, null))

/** What passed through a plugin, on its way back into the core. */
internal fun SmaltException.json(): JsonElement =
    obj {
        put("code", json(code))
        put("reason", json(reason))
        putSome("retry_after", retryAfter) { json(it) }
        put("context", obj(context) { json(it) })
        putSome("trace", trace) { json(it) }
    }

/** A function of the native half, whose error is one of Smalt. */
internal inline fun <T> raising(call: () -> T): T =
    try {
        call()
    } catch (failed: Failed.Smalt) {
        throw exceptionOf(parsed(failed.json))
    }

package dev.smalt.testing

import dev.smalt.Port
import dev.smalt.json
import dev.smalt.native
import dev.smalt.parsed
import dev.smalt.textOf
import dev.smalt.longOf
import java.net.HttpURLConnection
import java.net.URI
import java.net.URLEncoder
import java.time.Instant
import kotlin.time.Duration
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

// For tests of whoever uses Smalt: a clock that moves when it is told to, and the sandbox provider with its controls.

/** A clock that moves only when told to. */
public class FixedClock(
    start: Instant,
) : AutoCloseable {
    internal val number: Long = native.clockOpen(start.toEpochMilli())

    /** Where it stands. */
    public val now: Instant get() = Instant.ofEpochMilli(native.clockAdvance(number, 0))

    /** Moves it; a negative duration moves it back. */
    public fun advance(by: Duration) {
        native.clockAdvance(number, by.inWholeMilliseconds)
    }

    override fun close(): Unit = native.clockRelease(number)
}

/**
 * A running sandbox provider: a strict small OAuth 2.0 server and key-checking API on loopback. Name its [origin] in the project as
 * `sandbox.url`. It ends with [close].
 */
public class Sandbox private constructor(
    private val number: Long,
    /** Its origin, e.g. `http://127.0.0.1:40123`. */
    public val origin: String,
) : AutoCloseable {
    internal suspend fun ask(
        path: String,
        body: JsonElement? = null,
    ): JsonObject =
        withContext(Dispatchers.IO) {
            val connection = URI(origin + path).toURL().openConnection() as HttpURLConnection
            connection.connectTimeout = 30_000
            connection.readTimeout = 30_000
            if (body != null) {
                connection.doOutput = true
                connection.setRequestProperty("content-type", "application/json")
                connection.outputStream.use { it.write(body.toString().encodeToByteArray()) }
            }
            val answer = if (connection.responseCode < 400) connection.inputStream else connection.errorStream
            parsed(answer.use { it.readBytes() }) as JsonObject
        }

    /**
     * Tells it how to behave, e.g. `{"do": "set", "ways": {"expires_in": 1}}`.
     *
     * @throws IllegalArgumentException It does not know that order.
     */
    public suspend fun control(order: JsonElement) {
        val answer = ask("/control", order)
        require(answer["ok"] == JsonPrimitive(true)) { "the sandbox refused the order: $answer" }
    }

    /** What it has counted. */
    public suspend fun stats(): JsonObject = ask("/stats")["stats"] as JsonObject

    override fun close(): Unit = native.sandboxStop(number)

    public companion object {
        /** Starts one on a free loopback port. */
        public suspend fun start(): Sandbox {
            val started =
                Port.call(unwanted = { native.sandboxStop(longOf((parsed(it) as JsonArray)[0])) }) {
                    native.sandboxStart(Port.number, it)
                }
            val (number, origin) = parsed(started) as JsonArray
            return Sandbox(longOf(number), textOf(origin))
        }

        /**
         * Plays the user at the authorize page; answers the callback URL, which is not requested.
         *
         * @param authorizeUrl What `startConnect` answered.
         * @param user `ada`, `grace` or `linus`.
         * @param allow Whether the user consents.
         */
        public suspend fun visit(
            authorizeUrl: String,
            user: String = "ada",
            allow: Boolean = true,
        ): String = visit(authorizeUrl, mapOf("sandbox_user" to user, "sandbox_decision" to if (allow) "allow" else "deny"))

        internal suspend fun visit(
            url: String,
            more: Map<String, String>,
        ): String {
            val added = more.entries.joinToString("&") { (name, value) -> "$name=${URLEncoder.encode(value, "UTF-8")}" }
            val asked = url + (if ('?' in url) "&" else "?") + added
            return textOf(parsed(Port.call { native.sandboxVisit(Port.number, it, asked) }))
        }
    }
}

package dev.smalt

import java.security.MessageDigest
import kotlinx.serialization.json.JsonNull

/**
 * A text that nobody shows by accident: [toString] and logs have none of it.
 *
 * @param text The text itself.
 */
public class Secret(text: String) {
    private val own = text

    /** The text. Keep it out of logs, addresses and errors. */
    public fun reveal(): String = own

    /** Compared in constant time. */
    override fun equals(other: Any?): Boolean =
        other is Secret && MessageDigest.isEqual(own.encodeToByteArray(), other.own.encodeToByteArray())

    override fun hashCode(): Int = own.hashCode()

    override fun toString(): String = "Secret(…)"
}

/** What stands in a text for what is not shown: nothing is shown as such. */
internal fun discreet(value: Any?): String = if (value == null || value == JsonNull) "null" else "…"

package dev.smalt

import java.nio.BufferUnderflowException
import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.time.Instant
import java.util.Collections

/** Reads what the core packs (`packed.rs` says how): the answer that is asked for all the time, without JSON. */
internal class Packed private constructor(
    private val bytes: ByteBuffer,
) {
    private fun text(length: Int): String {
        if (length < 0 || length > bytes.remaining()) strange()
        val text = String(bytes.array(), bytes.position(), length, Charsets.UTF_8)
        bytes.position(bytes.position() + length)
        return text
    }

    private fun text(): String = text(bytes.getInt())

    private fun maybe(): String? = bytes.getInt().let { if (it == -1) null else text(it) }

    private fun time(): Instant? = bytes.getLong().let { if (it == Long.MIN_VALUE) null else Instant.ofEpochMilli(it) }

    /** How many follow, each of at least so many bytes. */
    private fun count(least: Int): Int = bytes.getInt().also { if (it < 0 || it > bytes.remaining() / least) strange() }

    private fun <T> list(
        least: Int,
        read: () -> T,
    ): List<T> {
        val count = count(least)
        return Collections.unmodifiableList(ArrayList<T>(count).apply { repeat(count) { add(read()) } })
    }

    private fun <T> map(made: (String) -> T): Map<String, T> {
        val map = LinkedHashMap<String, T>()
        repeat(count(8)) { map[text()] = made(text()) }
        return Collections.unmodifiableMap(map)
    }

    /** Seats of which the core has let go what they were answered. */
    fun seats(): List<Long> = list(8) { bytes.getLong() }

    /** Nobody can change it, Java included: several may have the same one. */
    fun credential(): Credential {
        val (connection, application, type) = Triple(text(), text(), text())
        val (token, tokenType, ends) = Triple(maybe(), maybe(), time())
        return Credential(
            connectionId = connection,
            application = application,
            authType = AuthType.of(type),
            scopes = list(4) { text() },
            values = map { Secret(it) },
            properties = map { it },
            accessToken = token?.let { Secret(it) },
            tokenType = tokenType,
            expiresAt = ends,
        )
    }

    companion object {
        /** All of it must be read. */
        fun <T> read(
            bytes: ByteArray,
            body: Packed.() -> T,
        ): T {
            val packed = Packed(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN))
            val value =
                try {
                    packed.body()
                } catch (_: BufferUnderflowException) {
                    strange()
                }
            if (packed.bytes.hasRemaining()) strange()
            return value
        }
    }
}

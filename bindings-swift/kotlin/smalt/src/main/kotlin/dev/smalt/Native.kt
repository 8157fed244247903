package dev.smalt

import dev.smalt.ffi.Message

/**
 * Everything that crosses into the native half. Another way across (JNI, for instance) is another implementation of this, and nothing
 * else changes: docs/kotlin.md.
 */
internal interface Native {
    fun portOpen(): Long

    fun portTake(
        port: Long,
        wait: Long,
    ): List<Message>

    fun callStart(
        engine: Long,
        number: Long,
        call: ByteArray,
    )

    fun seatTake(
        engine: Long,
        call: ByteArray,
    ): Long

    fun seatReady(
        engine: Long,
        seat: Long,
    ): Long

    fun seatAnswer(
        engine: Long,
        seat: Long,
        answer: Long,
    ): ByteArray?

    fun seatsClear(engine: Long)

    fun callCancel(
        port: Long,
        number: Long,
    )

    fun hostAnswer(
        port: Long,
        number: Long,
        answer: ByteArray,
    ): Boolean

    fun openEmbedded(
        port: Long,
        number: Long,
        options: ByteArray,
    )

    fun openRemote(
        port: Long,
        options: ByteArray,
    ): Long

    fun openSession(
        port: Long,
        options: ByteArray,
    ): Long

    fun capabilities(engine: Long): ByteArray

    fun release(engine: Long)

    fun makeKey(): String

    fun loadManifest(path: String): ByteArray

    fun verifyWebhook(delivery: ByteArray): ByteArray

    fun clockOpen(millis: Long): Long

    fun clockAdvance(
        clock: Long,
        millis: Long,
    ): Long

    fun clockRelease(clock: Long)

    fun sandboxStart(
        port: Long,
        number: Long,
    )

    fun sandboxStop(sandbox: Long)

    fun sandboxVisit(
        port: Long,
        number: Long,
        url: String,
    )
}

/** By UniFFI's glue, which goes through JNA. */
internal object UniffiNative : Native {
    init {
        // A library elsewhere than in the jar.
        System.getProperty("smalt.library")?.let { System.setProperty("uniffi.component.smalt_ffi.libraryOverride", it) }
    }

    override fun portOpen(): Long = dev.smalt.ffi.portOpen().toLong()

    override fun portTake(
        port: Long,
        wait: Long,
    ): List<Message> = raising { dev.smalt.ffi.portTake(port.toULong(), wait.toULong()) }

    override fun callStart(
        engine: Long,
        number: Long,
        call: ByteArray,
    ): Unit = raising { dev.smalt.ffi.callStart(engine.toULong(), number.toULong(), call) }

    override fun seatTake(
        engine: Long,
        call: ByteArray,
    ): Long = raising { dev.smalt.ffi.seatTake(engine.toULong(), call).toLong() }

    override fun seatReady(
        engine: Long,
        seat: Long,
    ): Long = dev.smalt.ffi.seatReady(engine.toULong(), seat.toULong()).toLong()

    override fun seatAnswer(
        engine: Long,
        seat: Long,
        answer: Long,
    ): ByteArray? = dev.smalt.ffi.seatAnswer(engine.toULong(), seat.toULong(), answer.toULong())

    override fun seatsClear(engine: Long): Unit = dev.smalt.ffi.seatsClear(engine.toULong())

    override fun callCancel(
        port: Long,
        number: Long,
    ): Unit = raising { dev.smalt.ffi.callCancel(port.toULong(), number.toULong()) }

    override fun hostAnswer(
        port: Long,
        number: Long,
        answer: ByteArray,
    ): Boolean = raising { dev.smalt.ffi.hostAnswer(port.toULong(), number.toULong(), answer) }

    override fun openEmbedded(
        port: Long,
        number: Long,
        options: ByteArray,
    ): Unit = raising { dev.smalt.ffi.openEmbedded(port.toULong(), number.toULong(), options) }

    override fun openRemote(
        port: Long,
        options: ByteArray,
    ): Long = raising { dev.smalt.ffi.openRemote(port.toULong(), options).toLong() }

    override fun openSession(
        port: Long,
        options: ByteArray,
    ): Long = raising { dev.smalt.ffi.openSession(port.toULong(), options).toLong() }

    override fun capabilities(engine: Long): ByteArray = raising { dev.smalt.ffi.engineCapabilities(engine.toULong()) }

    override fun release(engine: Long): Unit = dev.smalt.ffi.engineRelease(engine.toULong())

    override fun makeKey(): String = raising { dev.smalt.ffi.makeKey() }

    override fun loadManifest(path: String): ByteArray = raising { dev.smalt.ffi.loadManifest(path) }

    override fun verifyWebhook(delivery: ByteArray): ByteArray = raising { dev.smalt.ffi.verifyWebhook(delivery) }

    override fun clockOpen(millis: Long): Long = dev.smalt.ffi.clockOpen(millis).toLong()

    override fun clockAdvance(
        clock: Long,
        millis: Long,
    ): Long = raising { dev.smalt.ffi.clockAdvance(clock.toULong(), millis) }

    override fun clockRelease(clock: Long): Unit = dev.smalt.ffi.clockRelease(clock.toULong())

    override fun sandboxStart(
        port: Long,
        number: Long,
    ): Unit = raising { dev.smalt.ffi.sandboxStart(port.toULong(), number.toULong()) }

    override fun sandboxStop(sandbox: Long): Unit = dev.smalt.ffi.sandboxStop(sandbox.toULong())

    override fun sandboxVisit(
        port: Long,
        number: Long,
        url: String,
    ): Unit = raising { dev.smalt.ffi.sandboxVisit(port.toULong(), number.toULong(), url) }
}

internal val native: Native get() = UniffiNative

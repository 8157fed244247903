package dev.smalt.ffi

import java.util.concurrent.atomic.LongAdder

/** Counts crossings; `bench.sh` puts it into UniFFI's glue. */
internal object Crossings {
    private val count = LongAdder()

    /** The library, for one call. */
    val to: UniffiLib
        get() {
            count.increment()
            return UniffiLib
        }

    /** A call that comes from there. */
    fun back(): Unit = count.increment()

    /** How many there were. */
    val made: Long get() = count.sum()
}

package dev.smalt

import dev.smalt.ffi.Message
import java.lang.ref.PhantomReference
import java.lang.ref.ReferenceQueue
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLong
import kotlin.coroutines.ContinuationInterceptor
import kotlin.coroutines.resumeWithException
import kotlinx.coroutines.CancellableContinuation
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.suspendCancellableCoroutine
import kotlinx.coroutines.withContext

/** Where every call ends: one thread takes what has come, many at a time, and lets their coroutines go on where those run. */
internal object Port {
    private class Waiting(
        val coroutine: CancellableContinuation<ByteArray>,
        val unwanted: (ByteArray) -> Unit,
    )

    private val numbers = AtomicLong()
    private val waiting = ConcurrentHashMap<Long, Waiting>()
    private val abandoned = ReferenceQueue<Any>()
    private val engines = ConcurrentHashMap<PhantomReference<Any>, Left>()

    private class Left(
        val engine: Long,
        val home: Home?,
    )

    private val wakes = AtomicLong()
    private val ends = AtomicLong()

    /** How often something was taken, and how much in all. */
    val taken: Pair<Long, Long> get() = wakes.get() to ends.get()

    val number: Long = native.portOpen()

    init {
        Thread(::take, "smalt-port").apply { isDaemon = true }.start()
    }

    /** How many engines were not let go of. */
    val open: Int get() = engines.size

    /** How many calls have not ended. */
    val pending: Int get() = waiting.size

    /**
     * Begins a call, and waits for its end. Cancelled before it begins, nothing is begun. `unwanted` gets the answer of one that was
     * cancelled too late.
     */
    suspend fun call(
        unwanted: (ByteArray) -> Unit = {},
        begin: (number: Long) -> Unit,
    ): ByteArray {
        val context = currentCoroutineContext()
        context.ensureActive()
        val interceptor = context[ContinuationInterceptor]
        if (interceptor == null || interceptor === Dispatchers.Unconfined) {
            // It would go on in the thread that takes, and whatever it does there would hold up all others.
            return withContext(Dispatchers.Default) { ended(unwanted, begin) }
        }
        return ended(unwanted, begin)
    }

    private suspend fun ended(
        unwanted: (ByteArray) -> Unit,
        begin: (number: Long) -> Unit,
    ): ByteArray =
        suspendCancellableCoroutine { coroutine ->
            val number = numbers.incrementAndGet()
            waiting[number] = Waiting(coroutine, unwanted)
            try {
                begin(number)
            } catch (refused: Throwable) {
                waiting.remove(number)
                coroutine.resumeWithException(refused)
                return@suspendCancellableCoroutine
            }
            // After the beginning: a cancel that came meanwhile is told now.
            coroutine.invokeOnCancellation { native.callCancel(this.number, number) }
        }

    private fun take() {
        while (true) {
            val batch =
                try {
                    native.portTake(number, wait = 60_000)
                } catch (_: SmaltException) {
                    return
                }
            if (batch.isNotEmpty()) wakes.incrementAndGet()
            ends.addAndGet(batch.size.toLong())
            for (message in batch) {
                try {
                    deliver(message)
                } catch (broken: Throwable) {
                    // One coroutine's own dispatcher is broken or closed; the others go on.
                    Thread.currentThread().uncaughtExceptionHandler.uncaughtException(Thread.currentThread(), broken)
                }
            }
            sweep()
        }
    }

    private fun deliver(message: Message) {
        when (message) {
            is Message.Answer -> {
                val waiter = waiting.remove(message.number.toLong()) ?: return
                waiter.coroutine.resume(message.json) { _, json, _ -> waiter.unwanted(json) }
            }
            is Message.Failure -> {
                val waiter = waiting.remove(message.number.toLong()) ?: return
                waiter.coroutine.resumeWithException(exceptionOf(parsed(message.json)))
            }
            is Message.Ask -> Homes.ask(message.home.toLong(), message.number.toLong(), message.json)
            is Message.Forget -> Homes.forget(message.number.toLong())
        }
    }

    /** An engine that nobody closes is let go of after its handles are gone. */
    fun watch(
        handle: Any,
        engine: Long,
        home: Home?,
    ) {
        sweep()
        engines[PhantomReference(handle, abandoned)] = Left(engine, home)
    }

    /** It was closed. */
    fun unwatch(engine: Long) {
        engines.values.removeIf { it.engine == engine }
    }

    /** Lets go of engines whose handles are gone. */
    fun sweep() {
        while (true) {
            val gone = abandoned.poll() ?: return
            val left = engines.remove(gone) ?: continue
            native.release(left.engine)
            left.home?.let { Homes.remove(it) }
        }
    }
}

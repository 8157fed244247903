package dev.smalt

import dev.smalt.testing.Sandbox
import java.util.concurrent.CountDownLatch
import java.util.concurrent.TimeUnit
import java.util.concurrent.atomic.AtomicInteger
import kotlin.coroutines.CoroutineContext
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.job
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.Timeout

/** How calls begin, wait and end. */
@Timeout(180)
internal class CallsTest {
    /** Whether it is the thread that takes. The name of the coroutine that it runs stands behind its own. */
    private fun isPort(): Boolean = Thread.currentThread().name.startsWith("smalt-port")

    /** How many calls the core has ended, whether they were taken or not. */
    private fun ended(): Long = dev.smalt.ffi.portEnded(Port.number.toULong()).toLong()

    @Test
    fun `a cancelled coroutine sends nothing`() =
        running {
            sandboxed { smalt ->
                coroutineScope {
                    launch(start = CoroutineStart.UNDISPATCHED) {
                        currentCoroutineContext().job.cancel()
                        smalt.createAccount("never")
                    }.join()
                }
                assertEquals(0L, smalt.countAccounts())
                assertEquals("linked_account_not_found", thrown<SmaltException.NotFound> { smalt.account("never").get() }.code)
            }
        }

    @Test
    fun `cancelling ends the waiter at once and the call in the core`() =
        running {
            sandboxed { smalt ->
                val before = Port.pending
                val last = smalt.eventsPage().items.lastOrNull()?.cursor
                coroutineScope {
                    val waiting = async { smalt.eventsPage(since = last, wait = 600.seconds) }
                    until { Port.pending == before + 1 }
                    waiting.cancelAndJoin()
                    assertTrue(waiting.isCancelled)
                }
                // It is taken out when the core has said how the call ended.
                until { Port.pending == before }
                smalt.account("goes-on").ensure()
            }
        }

    @Test
    fun `cancelling after the end changes nothing`() =
        running {
            sandboxed { smalt ->
                coroutineScope {
                    val done = async { smalt.account("c").ensure() }
                    val account = done.await()
                    done.cancelAndJoin()
                    assertEquals("c", account.id)
                    assertFalse(done.isCancelled)
                }
                assertEquals("c", smalt.account("c").get().id)
            }
        }

    @Test
    fun `a time of the host's is the host's own exception, and one of the handle's an error`() =
        running {
            sandboxed { smalt ->
                val last = smalt.eventsPage().items.lastOrNull()?.cursor
                thrown<TimeoutCancellationException> { withTimeout(50.milliseconds) { smalt.eventsPage(since = last, wait = 600.seconds) } }
                val late = thrown<SmaltException.Timeout> { smalt.withTimeout(50.milliseconds).eventsPage(since = last, wait = 600.seconds) }
                assertEquals("outcome_unknown", late.code)
            }
        }

    @Test
    fun `what has an effect goes on when its waiter goes`() =
        running {
            sandboxed { smalt ->
                val account = smalt.account("a")
                account.ensure()
                val started = account.startConnect("sandbox-oauth", redirectUri = "http://127.0.0.1/callback")
                val callback = Sandbox.visit(started.authorizeUrl)
                coroutineScope {
                    val finishing = async { runCatching { account.finishConnect(callback, cookie = started.cookie.value) } }
                    while (account.getFlow(started.flowId).status == FlowStatus.PENDING && finishing.isActive) delay(1.milliseconds)
                    finishing.cancelAndJoin()
                }
                val ended = account.waitFlow(started.flowId, timeout = 60.seconds)
                assertEquals(FlowStatus.CONNECTED, ended.status)
                assertEquals(listOf(ended.connectionId), account.listConnections().map { it.id })
            }
        }

    @Test
    fun `several threads use one engine, with coroutines and blocking`() =
        running {
            sandboxed { smalt ->
                val failed = java.util.concurrent.ConcurrentLinkedQueue<Throwable>()
                val threads =
                    List(8) { number ->
                        kotlin.concurrent.thread {
                            try {
                                runBlocking { repeat(20) { smalt.account("t-$number-$it").ensure() } }
                            } catch (why: Throwable) {
                                failed += why
                            }
                        }
                    }
                withContext(Dispatchers.IO) { threads.forEach { it.join() } }
                assertEquals(emptyList(), failed.toList())
                assertEquals(160L, smalt.countAccounts())
            }
        }

    @Test
    fun `ten thousand calls at once`() =
        running {
            sandboxed { smalt ->
                repeat(10) { smalt.account("c-$it").ensure() }
                val answers =
                    coroutineScope {
                        List(10_000) { number -> async(Dispatchers.Default) { smalt.account("c-${number % 10}").get().id == "c-${number % 10}" } }.awaitAll()
                    }
                assertEquals(10_000, answers.count { it })
            }
        }

    @Test
    fun `ten thousand that wait are cancelled`() =
        running {
            sandboxed { smalt ->
                val before = Port.pending
                val last = smalt.eventsPage().items.lastOrNull()?.cursor
                coroutineScope {
                    val all = List(10_000) { launch { smalt.eventsPage(since = last, wait = 600.seconds) } }
                    until { Port.pending == before + 10_000 }
                    all.forEach { it.cancel() }
                }
                until { Port.pending == before }
            }
        }

    @Test
    fun `many ends come with few wake-ups`() =
        running {
            sandboxed { smalt ->
                val before = Port.pending
                val last = smalt.eventsPage().items.lastOrNull()?.cursor
                val (held, free) = CountDownLatch(1) to CountDownLatch(1)
                val whereItEnds =
                    object : CoroutineDispatcher() {
                        override fun dispatch(
                            context: CoroutineContext,
                            block: Runnable,
                        ) = block.run()
                    }
                coroutineScope {
                    val all = List(1_000) { launch(Dispatchers.Default) { smalt.eventsPage(since = last, wait = 600.seconds) } }
                    until { Port.pending == before + 1_000 }
                    // Holds up the thread that takes: it goes on there, and takes nothing meanwhile.
                    val holder =
                        launch(whereItEnds) {
                            while (!isPort()) smalt.countAccounts()
                            held.countDown()
                            free.await(60, TimeUnit.SECONDS)
                        }
                    assertTrue(withContext(Dispatchers.IO) { held.await(60, TimeUnit.SECONDS) })
                    val (wakes, ends) = Port.taken
                    val endedBefore = ended()
                    all.forEach { it.cancel() }
                    // The core ends them meanwhile.
                    until { ended() >= endedBefore + 1_000 }
                    assertEquals(wakes to ends, Port.taken)
                    free.countDown()
                    holder.join()
                    until { Port.pending == before }
                    val (more, ended) = Port.taken.first - wakes to Port.taken.second - ends
                    assertTrue(ended >= 1_000, "$ended ends were seen")
                    assertTrue(more <= ended / 2, "$more wake-ups for $ended ends")
                }
            }
        }

    @Test
    fun `s77 a panic becomes an error, and nothing else is harmed`() =
        running {
            sandboxed { smalt ->
                val error = thrown<SmaltException.Internal> { smalt.handle.operation("panic", obj {}) }
                assertEquals("internal", error.code)
                assertTrue("panicked" in error.reason, error.reason)
                smalt.account("goes-on").ensure()
            }
        }

    /** With arguments that mean nothing, by the glue itself. The native half lets the next call of this thread panic. */
    @Test
    fun `s77 a panic in any function of the glue is an error, or nothing where it can say none`() {
        val none = ByteArray(0)
        val raised: Map<String, () -> Any?> =
            mapOf(
                "call_start" to { dev.smalt.ffi.callStart(0u, 0u, none) },
                "engine_capabilities" to { dev.smalt.ffi.engineCapabilities(0u) },
                "seat_take" to { dev.smalt.ffi.seatTake(0u, none) },
                "host_answer" to { dev.smalt.ffi.hostAnswer(0u, 0u, none) },
                "open_embedded" to { dev.smalt.ffi.openEmbedded(0u, 0u, none) },
                "open_remote" to { dev.smalt.ffi.openRemote(0u, none) },
                "open_session" to { dev.smalt.ffi.openSession(0u, none) },
                "port_take" to { dev.smalt.ffi.portTake(0u, 0u) },
                "port_ended" to { dev.smalt.ffi.portEnded(0u) },
                "call_cancel" to { dev.smalt.ffi.callCancel(0u, 0u) },
                "clock_advance" to { dev.smalt.ffi.clockAdvance(0u, 0) },
                "sandbox_start" to { dev.smalt.ffi.sandboxStart(0u, 0u) },
                "sandbox_visit" to { dev.smalt.ffi.sandboxVisit(0u, 0u, "") },
                "make_key" to { dev.smalt.ffi.makeKey() },
                "load_manifest" to { dev.smalt.ffi.loadManifest("") },
                "verify_webhook" to { dev.smalt.ffi.verifyWebhook(none) },
            )
        val quiet: Map<String, () -> Any?> =
            mapOf(
                "engine_release" to { dev.smalt.ffi.engineRelease(0u) },
                "seat_ready" to { dev.smalt.ffi.seatReady(0u, 0u) },
                "seat_answer" to { dev.smalt.ffi.seatAnswer(0u, 0u, 0u) },
                "seats_clear" to { dev.smalt.ffi.seatsClear(0u) },
                "port_open" to { dev.smalt.ffi.portOpen() },
                "port_close" to { dev.smalt.ffi.portClose(0u) },
                "clock_open" to { dev.smalt.ffi.clockOpen(0) },
                "clock_release" to { dev.smalt.ffi.clockRelease(0u) },
                "sandbox_stop" to { dev.smalt.ffi.sandboxStop(0u) },
                "version" to { dev.smalt.ffi.version() },
            )
        for ((name, call) in raised) {
            dev.smalt.ffi.callStart(0u, 0u, "panic next".encodeToByteArray())
            val failed = assertFailsWith<dev.smalt.ffi.Failed.Smalt>(name) { call() }
            val error = exceptionOf(parsed(failed.json))
            assertTrue(error is SmaltException.Internal && "panicked" in error.reason, "$name: $error")
        }
        for ((name, call) in quiet) {
            dev.smalt.ffi.callStart(0u, 0u, "panic next".encodeToByteArray())
            assertTrue(call() in listOf(Unit, 0uL, null, ""), name)
            // It was this one that panicked.
            assertEquals(ULong.MAX_VALUE, dev.smalt.ffi.seatReady(0u, 0u), name)
        }
        val sources = REPOSITORY.resolve("bindings-swift/src").toFile().listFiles().orEmpty().filter { it.isFile && it.name !in setOf("bench.rs", "tests.rs") }
        val exported = sources.flatMap { Regex("#\\[uniffi::export\\]\\s*pub fn (\\w+)").findAll(it.readText()).map { found -> found.groupValues[1] } }
        assertEquals(exported.toSet(), raised.keys + quiet.keys)
    }

    @Test
    fun `whoever goes on in no thread of its own does not hold up others`() =
        running {
            sandboxed { smalt ->
                val threads = AtomicInteger()
                coroutineScope {
                    List(20) {
                        async(Dispatchers.Unconfined) {
                            smalt.account("u").ensure()
                            if (isPort()) threads.incrementAndGet()
                            // Blocks where it goes on; the answer must come all the same.
                            runBlocking { smalt.account("u").get() }
                        }
                    }.awaitAll()
                }
                assertEquals(0, threads.get())
            }
        }

    @Test
    fun `events come as a flow that ends with its collector`() =
        running {
            sandboxed { smalt ->
                smalt.account("a").ensure()
                smalt.account("a").connect("sandbox-oauth")
                val first = smalt.events().take(2).toList()
                assertEquals(2, first.size)
                val next = withContext(Dispatchers.Default) { async { smalt.events(since = first[1].cursor).first { it.type != first[0].type } } }
                smalt.account("a").disconnect("sandbox-oauth")
                next.await()
                coroutineScope {
                    val collecting = launch { smalt.events().collect {} }
                    until { Port.pending > 0 }
                    collecting.cancelAndJoin()
                }
                until { Port.pending == 0 }
            }
        }

    @Test
    fun `a closed engine says so`() =
        running {
            val smalt = Smalt.sandbox()
            val account = smalt.account("a")
            account.ensure()
            smalt.use { }
            smalt.close()
            assertEquals("closed", thrown<SmaltException.Unavailable> { account.get() }.code)
            assertEquals("closed", thrown<SmaltException.Unavailable> { account.credential("sandbox-oauth") }.code)
            assertEquals("closed", thrown<SmaltException.Unavailable> { smalt.capabilities }.code)
        }

    @Test
    fun `a loop of engines leaves nothing behind, closed or not`() =
        running {
            repeat(size(8, 60)) { use(close = it % 2 == 0) }
            until {
                System.gc()
                Port.sweep()
                Port.open == 0
            }
            assertEquals(0, Homes.open)
        }

    private suspend fun use(close: Boolean) {
        val smalt =
            Smalt.embedded {
                sandbox = true
                throwawayKey = true
                runner = WorkflowRunner { it.payload }
            }
        smalt.account("a").ensure()
        if (close) smalt.shutdown()
    }

    @Test
    fun `an opening that is cancelled leaves no engine`() =
        running {
            val before = Port.open
            coroutineScope {
                repeat(20) { number ->
                    val opening = launch(Dispatchers.Default) { Smalt.sandbox().shutdown() }
                    if (number % 2 == 0) opening.cancel() else opening.join()
                }
            }
            until { Port.pending == 0 && Port.open == before }
        }

    @Test
    fun `a cancelled call is the host's own exception`() =
        running {
            sandboxed { smalt ->
                coroutineScope {
                    val seen = async { runCatching { smalt.eventsPage(wait = 600.seconds, since = smalt.eventsPage().items.lastOrNull()?.cursor) } }
                    until { Port.pending > 0 }
                    seen.cancelAndJoin()
                    assertTrue(runCatching { seen.await() }.exceptionOrNull() is CancellationException)
                }
            }
        }
}

/** The first figure of a row, or the whole one where `SMALT_FULL` asks for it. */
internal fun size(
    first: Int,
    full: Int,
): Int = if (System.getenv("SMALT_FULL") == null) first else full

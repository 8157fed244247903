package dev.smalt

import com.sun.net.httpserver.HttpExchange
import com.sun.net.httpserver.HttpServer
import java.io.ByteArrayInputStream
import java.io.IOException
import java.io.InputStream
import java.net.InetSocketAddress
import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicInteger
import kotlin.random.Random
import kotlin.test.Test
import kotlin.test.assertContentEquals
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.milliseconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.asFlow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.future.await
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.jsonObject
import org.junit.jupiter.api.Timeout

/** A provider that takes uploads of any size, and tells those that came whole from those that were cut off. */
private class Provider : AutoCloseable {
    val whole = ConcurrentLinkedQueue<ByteArray>()
    val cut = AtomicInteger()

    /** How many bytes of uploads have come. */
    val seen = AtomicInteger()

    private val threads = Executors.newCachedThreadPool()
    private val server =
        HttpServer.create(InetSocketAddress("127.0.0.1", 0), 0).apply {
            executor = threads
            createContext("/") { it.use { exchange -> serve(exchange) } }
            start()
        }

    private fun serve(exchange: HttpExchange) {
        if (exchange.requestMethod == "GET") return answer(exchange, """{"workspace":{"id":"acme","name":"Acme"}}""")
        if (exchange.requestURI.path.endsWith("/refuses")) return answer(exchange, "{}", status = 403)
        val body = java.io.ByteArrayOutputStream()
        val room = ByteArray(8192)
        try {
            while (true) {
                val read = exchange.requestBody.read(room)
                if (read < 0) break
                seen.addAndGet(read)
                body.write(room, 0, read)
            }
        } catch (_: IOException) {
            cut.incrementAndGet()
            return
        }
        whole += body.toByteArray()
        answer(exchange, "{}")
    }

    private fun answer(
        exchange: HttpExchange,
        json: String,
        status: Int = 200,
    ) {
        exchange.responseHeaders.add("content-type", "application/json")
        exchange.sendResponseHeaders(status, json.length.toLong())
        exchange.responseBody.write(json.encodeToByteArray())
    }

    suspend fun connected(test: suspend (Account) -> Unit) {
        val smalt =
            Smalt.embedded {
                projectJson =
                    jsonOf(
                        mapOf(
                            "version" to 1,
                            "sandbox" to mapOf("enabled" to true, "url" to "http://127.0.0.1:${server.address.port}"),
                            "apps" to mapOf("sandbox-key" to emptyMap<String, Any>()),
                        ),
                    )
                throwawayKey = true
            }
        try {
            val account = smalt.account("a")
            account.ensure()
            account.connect("sandbox-key", mapOf("key" to Secret("sandbox-key-good"), "workspace" to Secret("acme")))
            test(account)
        } finally {
            smalt.shutdown()
        }
    }

    override fun close() {
        server.stop(0)
        threads.shutdownNow()
    }
}

/** Bodies that come in parts. */
@Timeout(180)
internal class UploadTest {
    private fun provided(test: suspend (Provider, Account) -> Unit) =
        running {
            Provider().use { provider ->
                provider.connected { test(provider, it) }
                until { Port.pending == 0 }
            }
        }

    private val silent =
        flow {
            emit("half".encodeToByteArray())
            awaitCancellation()
        }

    private suspend fun Account.put(
        body: Flow<ByteArray>,
        path: String = "files",
    ): ApiAnswer = upload("sandbox-key", "PUT", path, body)

    @Test
    fun `a large body arrives whole and in order, in parts of any size`() =
        provided { provider, account ->
            val parts = listOf(0, 1, 3_000_000, 0, 40_000, 65_536, 7).map { Random(it).nextBytes(it) } + List(200) { byteArrayOf(it.toByte()) }
            val all = parts.reduce { all, part -> all + part }
            assertEquals(200, account.put(parts.asFlow()).status)
            assertContentEquals(all, provider.whole.remove())
            val known = account.upload("sandbox-key", "PUT", "files", parts.asFlow(), "image/png", length = all.size.toLong())
            assertEquals(200, known.status)
            assertContentEquals(all, provider.whole.remove())
            assertEquals(200, account.futures.upload("sandbox-key", "PUT", "files", ByteArrayInputStream(all)).await().status)
            assertContentEquals(all, provider.whole.remove())
        }

    @Test
    fun `a body that throws is not whole, and what it throws comes out`() =
        provided { provider, account ->
            val fails =
                flow {
                    emit("half".encodeToByteArray())
                    until { provider.seen.get() == 4 }
                    error("its own")
                }
            assertEquals("its own", thrown<IllegalStateException> { account.put(fails) }.message)
            until { provider.cut.get() == 1 }
            // An exception of cancellation is one as well, and cancels nobody else.
            thrown<TimeoutCancellationException> { account.put(flow { withTimeout(20.milliseconds) { awaitCancellation() } }) }
            val broken =
                object : InputStream() {
                    override fun read(): Int = throw IOException("its own")
                }
            assertEquals("its own", thrown<IOException> { account.futures.upload("sandbox-key", "PUT", "files", broken).await() }.message)
            assertEquals(0, provider.whole.size)
            assertEquals(200, account.put(flow { emit("goes on".encodeToByteArray()) }).status)
            assertEquals("goes on", provider.whole.single().decodeToString())
        }

    @Test
    fun `a cancelled upload leaves nothing, and is not whole`() =
        provided { provider, account ->
            coroutineScope {
                val upload = async { account.put(silent) }
                until { provider.seen.get() == 4 }
                upload.cancelAndJoin()
                assertTrue(runCatching { upload.await() }.exceptionOrNull() is CancellationException)
            }
            until { provider.cut.get() == 1 && Port.pending == 0 }
            assertEquals(0, provider.whole.size)
        }

    @Test
    fun `no more of a body is read than is wanted`() =
        provided { _, account ->
            val asked = AtomicInteger()
            val endless = flow { while (true) emit(ByteArray(10_000)) }.onEach { asked.incrementAndGet() }
            assertEquals("not_connected", thrown<SmaltException.Conflict> { account.upload("sandbox-oauth", "PUT", "files", endless) }.code)
            // What waits to be sent, and what is on its way there.
            assertTrue(asked.get() <= 8, "${asked.get()} parts were read")
            assertEquals(403, account.put(endless, "refuses").status)
            // One that gives nothing any more ends with the answer, too.
            assertEquals(403, account.put(silent, "refuses").status)
        }

    @Test
    fun `a body may ask for something itself, and goes on without a thread of its own`() =
        running {
            sandboxed { smalt ->
                val account = smalt.account("a")
                account.ensure()
                account.connect("sandbox-oauth")
                val body = flow { repeat(3) { emit("${account.get().id}$it ".encodeToByteArray()) } }
                for (where in listOf(Dispatchers.Default, Dispatchers.Unconfined)) {
                    val answer = coroutineScope { async(where) { account.upload("sandbox-oauth", "PUT", "echo", body, "text/plain") }.await() }
                    assertEquals(json("a0 a1 a2 "), parsed(answer.body).jsonObject["body"])
                }
            }
        }
}

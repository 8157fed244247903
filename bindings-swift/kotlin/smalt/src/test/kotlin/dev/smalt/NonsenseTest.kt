package dev.smalt

import java.util.concurrent.ConcurrentLinkedQueue
import java.util.concurrent.CyclicBarrier
import java.util.concurrent.atomic.AtomicInteger
import kotlin.concurrent.thread
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.sync.Semaphore
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Timeout

/** What no typed call can say, said by hand; and calls that meet a close. */
@Timeout(3_700)
internal class NonsenseTest {
    private val values: List<JsonElement> =
        listOf(
            JsonNull,
            JsonPrimitive(true),
            JsonPrimitive(0),
            JsonPrimitive(-1),
            JsonPrimitive(1.5),
            JsonPrimitive(Long.MAX_VALUE),
            JsonPrimitive(Long.MIN_VALUE),
            JsonPrimitive(1e300),
            JsonPrimitive(Double.NaN),
            JsonPrimitive(""),
            JsonPrimitive("x"),
            JsonPrimitive("a"),
            JsonPrimitive("a\u0000b"),
            JsonPrimitive("\ud800"),
            JsonPrimitive("../.."),
            JsonPrimitive("sandbox-oauth"),
            JsonPrimitive("sandbox-key"),
            JsonPrimitive("ü".repeat(300)),
            JsonPrimitive("x".repeat(10_000)),
            JsonArray(emptyList()),
            JsonArray(listOf(JsonArray(emptyList()))),
            JsonObject(emptyMap()),
            JsonObject(mapOf("a" to JsonPrimitive(1))),
            JsonObject(mapOf("items" to JsonArray(listOf(JsonObject(mapOf("a" to JsonNull)))))),
            JsonArray(List(1_000) { JsonPrimitive(7) }),
            (0 until 400).fold<Int, JsonElement>(JsonPrimitive(1)) { inner, _ -> JsonArray(listOf(inner)) },
        )

    /** Each operation's name and the names of its request's fields, but for those that would change what the others are asked of. */
    private fun operations(): List<Pair<String, List<String>>> {
        val schema = Json.parseToJsonElement(REPOSITORY.resolve("docs/schema/operations-1.json").toFile().readText()).jsonObject
        val types = schema.getValue("\$defs").jsonObject
        return schema
            .getValue("operations")
            .jsonObject
            .filterKeys { it != "rotate_keys" && it != "set_project" }
            .map { (name, operation) ->
                val request = (operation.jsonObject["request"] as? JsonObject)?.get("\$ref")?.jsonPrimitive?.content?.substringAfterLast('/')
                val fields = types[request]?.jsonObject?.get("properties")?.jsonObject?.keys.orEmpty()
                name to fields.sorted()
            }.sortedBy { it.first }
    }

    @Test
    fun `s78 nonsense in every field of every operation is an error in words`() =
        runBlocking(Dispatchers.Default) {
            val operations = operations()
            assertTrue(operations.size > 50 && operations.count { it.second.isNotEmpty() } > 40)
            val large = JsonPrimitive("x".repeat(size(1 shl 20, 100 shl 20)))
            val random = java.util.Random(7)
            val (refused, strange) = AtomicInteger() to ConcurrentLinkedQueue<String>()

            fun request(fields: List<String>): JsonObject {
                val request = LinkedHashMap<String, JsonElement>()
                for (field in fields) if (random.nextInt(4) != 0) request[field] = values[random.nextInt(values.size)]
                if (random.nextInt(5) == 0) request["no_such_field"] = JsonPrimitive(1)
                return JsonObject(request)
            }

            val smalt = Smalt.sandbox()
            smalt.account("a").ensure()
            smalt.account("a").connect("sandbox-oauth")
            // What waits on purpose does not wait for long.
            val handles = listOf(smalt.withTimeout(2.seconds).handle, smalt.account("a").session().withTimeout(2.seconds).handle)
            val room = Semaphore(32)
            coroutineScope {
                repeat(size(5_000, 100_000)) { number ->
                    val (name, fields) = operations[number % operations.size]
                    val handle = handles[random.nextInt(2)]
                    val given = if (number % 500 == 250 && fields.isNotEmpty()) JsonObject(mapOf(fields[0] to large)) else request(fields)
                    room.acquire()
                    launch {
                        try {
                            // A credential is no JSON; whatever else comes must be.
                            if (name == "credential") handle.waited(name, given) else handle.operation(name, given)
                        } catch (error: SmaltException) {
                            refused.incrementAndGet()
                            if (error.code == "internal" || error.reason.isEmpty()) strange += "$name: $error"
                        } finally {
                            room.release()
                        }
                    }
                }
            }
            assertEquals(emptyList(), strange.toList())
            assertTrue(refused.get() > size(2_500, 50_000), "$refused were refused")
            assertEquals("goes-on", smalt.createAccount("goes-on").id)
            smalt.shutdown()
        }

    @Test
    fun `s78 bytes that are no call at all are refused in words`() =
        running {
            sandboxed { smalt ->
                val engine = smalt.handle.engine.number
                for (text in listOf("", "{", "[]", "\u0000", "{\"op\":1}{}", "{\"op\":\"credential\"}", "{\"op\":\"get_account\"}[1]", "x".repeat(1 shl 20))) {
                    thrown<SmaltException> { Port.call { native.callStart(engine, it, text.encodeToByteArray()) } }
                    thrown<SmaltException.Invalid> { native.seatTake(engine, text.encodeToByteArray()) }
                }
                for (number in listOf(0L, -1L, Long.MIN_VALUE, 1L shl 40)) {
                    assertEquals(-1L, native.seatReady(engine, number))
                    assertEquals(null, native.seatAnswer(engine, number, number))
                    assertEquals("closed", thrown<SmaltException> { native.capabilities(number) }.code)
                    native.release(number)
                    native.seatsClear(number)
                    native.callCancel(Port.number, number)
                }
                assertEquals(0L, smalt.countAccounts())
            }
        }

    @Test
    fun `s78 calls that meet a close end in words`() {
        repeat(size(5, 100)) {
            runBlocking {
                withTimeout(120.seconds) {
                    val smalt = Smalt.sandbox()
                    val account = smalt.account("a")
                    account.ensure()
                    account.connect("sandbox-oauth")
                    val (failed, together) = ConcurrentLinkedQueue<Throwable>() to CyclicBarrier(32)
                    val threads =
                        List(32) { number ->
                            thread {
                                together.await()
                                try {
                                    runBlocking {
                                        if (number == 16) return@runBlocking smalt.shutdown()
                                        repeat(20) {
                                            assertEquals("a", account.get().id)
                                            account.credential("sandbox-oauth")
                                        }
                                    }
                                } catch (closed: SmaltException) {
                                    if (closed.code != "closed") failed += closed
                                } catch (other: Throwable) {
                                    failed += other
                                }
                            }
                        }
                    threads.forEach { it.join() }
                    assertEquals(emptyList(), failed.toList())
                    assertEquals("closed", thrown<SmaltException> { account.get() }.code)
                    assertEquals("closed", thrown<SmaltException> { account.credential("sandbox-oauth") }.code)
                }
            }
        }
        runBlocking { withTimeout(120.seconds) { until { Port.pending == 0 } } }
    }
}

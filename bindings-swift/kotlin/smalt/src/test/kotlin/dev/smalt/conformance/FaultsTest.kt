package dev.smalt.conformance

import dev.smalt.REPOSITORY
import dev.smalt.Secret
import dev.smalt.Smalt
import java.util.TreeMap
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.sync.Semaphore
import kotlinx.coroutines.sync.withPermit
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.contentOrNull
import kotlinx.serialization.json.double
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

/** A server behind a bad network; what is there of a sandbox takes orders and counts. */
private class Reached(
    private val place: JsonObject,
) : World(REPOSITORY.resolve("tests/conformance")) {
    private fun time(name: String): Duration = place.getValue("client").jsonObject.getValue(name).jsonPrimitive.double.seconds

    private fun text(name: String): String? = place.getValue(name).jsonPrimitive.contentOrNull

    override val origin = text("origin")!!
    override val smalt =
        Smalt.remote(text("url")!!, Secret(text("key")!!)) {
            proxy = false
            certificateAuthority = text("certificate_authority")
            timeout = time("timeout")
            attemptTimeout = time("attempt_timeout")
            connectTimeout = time("connect_timeout")
        }

    override suspend fun end() = smalt.shutdown()

    override suspend fun host(
        verb: String,
        args: Args,
    ): JsonElement = throw Mistake("`$verb` is done where the engine is, which is somewhere else")
}

/** A bad network between the remote backend and a real server: the cases of tests/faults. */
internal class FaultsTest {
    @Test
    fun everyFaultEndsAsItShould() {
        val program = ProcessBuilder(System.getenv("SMALT_FAULTS")).redirectError(ProcessBuilder.Redirect.INHERIT).start()
        val places = Json.parseToJsonElement(program.inputReader().readLine()).jsonArray.map { it.jsonObject }
        assertTrue(places.size >= 80 || System.getenv("CASE") != null, "${places.size} cases")
        val failed = TreeMap<String, String>()
        runBlocking(Dispatchers.Default) {
            val free = Semaphore(16)
            for (place in places) launch { free.withPermit { hold(place)?.let { synchronized(failed) { failed[Case(place).id] = it } } } }
        }
        program.outputWriter().close()
        assertEquals(emptyMap<String, String>(), failed, failed.entries.joinToString("\n") { "${it.key}: ${it.value}" })
    }

    private suspend fun hold(place: JsonObject): String? {
        val world = Reached(place)
        return try {
            withTimeout(place.getValue("limit").jsonPrimitive.double.seconds) { run(Case(place), world) }
            null
        } catch (why: Throwable) {
            "${why::class.simpleName}: ${why.message}"
        } finally {
            world.end()
        }
    }
}

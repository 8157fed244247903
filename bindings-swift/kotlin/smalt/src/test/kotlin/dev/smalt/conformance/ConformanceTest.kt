package dev.smalt.conformance

import dev.smalt.jsonOf
import java.nio.file.Path
import java.util.TreeMap
import kotlin.io.path.createDirectories
import kotlin.io.path.listDirectoryEntries
import kotlin.io.path.readText
import kotlin.io.path.writeText
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlin.time.DurationUnit
import kotlin.time.TimeSource
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.sync.Semaphore
import kotlinx.coroutines.sync.withPermit
import kotlinx.coroutines.withContext
import kotlinx.coroutines.withTimeout
import kotlinx.serialization.json.Json

/** All conformance cases. */
internal class ConformanceTest {
    private val repository = Path.of(System.getProperty("smalt.repository")).toRealPath()
    private val room = repository.resolve("tests/conformance")
    private val standard = Json.parseToJsonElement(room.resolve("project.json").readText())
    private val chosen = System.getenv("CASE").orEmpty()
    private val cases =
        room.resolve("cases").listDirectoryEntries("*.json").sorted().map { Case.read(it) }.filter { chosen in it.id }

    @Test
    fun everyCaseHoldsEmbedded() = everyCase("embedded") { EmbeddedWorld.open(it, standard, room) }

    @Test
    fun everyCaseHoldsRemotely() {
        val server = checkNotNull(System.getenv("SMALT_CONFORMANCE_SERVER")) { "kotlin.sh names the Rust driver's test binary" }
        everyCase("remote") { RemoteWorld.open(it, room, server) }
    }

    private fun everyCase(
        backend: String,
        open: suspend (Case) -> World,
    ) {
        val failed = TreeMap<String, String>()
        val begun = TimeSource.Monotonic.markNow()
        runBlocking(Dispatchers.Default) {
            val places = Semaphore(8)
            for (case in cases) {
                launch {
                    places.withPermit {
                        try {
                            val world = open(case)
                            try {
                                withTimeout(120.seconds) { run(case, world) }
                            } finally {
                                withContext(NonCancellable) { world.end() }
                            }
                        } catch (why: Throwable) {
                            synchronized(failed) { failed[case.id] = "${why::class.simpleName}: ${why.message}" }
                        }
                    }
                }
            }
        }
        println("kotlin $backend: ${cases.size - failed.size} passed, ${failed.size} failed")
        if (chosen.isEmpty()) count(backend, begun.elapsedNow(), failed.keys)
        assertTrue(cases.isNotEmpty(), "no case is called like `$chosen`")
        assertEquals(emptyMap<String, String>(), failed, failed.entries.joinToString("\n") { "${it.key}: ${it.value}" })
        println("${World.TYPED.get()} calls through typed methods; with JSON by hand: ${World.RAW}")
    }

    /** What was counted, for the grid: see tests/conformance/README.md. */
    private fun count(
        backend: String,
        took: Duration,
        failed: Set<String>,
    ) {
        val target = System.getenv("CARGO_TARGET_DIR")?.ifEmpty { null } ?: repository.resolve("target").toString()
        val row =
            jsonOf(
                mapOf(
                    "language" to "kotlin",
                    "backend" to backend,
                    "seconds" to took.toDouble(DurationUnit.SECONDS),
                    "passed" to cases.map { it.id }.filterNot { it in failed },
                    "failed" to failed.toList(),
                ),
            )
        Path.of(target).resolve("conformance").createDirectories().resolve("kotlin-$backend.json").writeText("$row\n")
    }

    @Test
    fun matchersMatchWhatTheReadmeSays() {
        val yes =
            listOf(
                "10" to "10.0",
                """{"a": 1}""" to """{"a": 1, "b": 2}""",
                """[1, {"${'$'}any": true}]""" to "[1, null]",
                """{"a": {"${'$'}absent": true}}""" to "{}",
                """{"${'$'}match": "a*c*"}""" to "\"abcabc\"",
                """{"${'$'}len": 2}""" to "\"äö\"",
                """{"${'$'}contains": [2, 1]}""" to "[1, 2, 3]",
                """{"${'$'}contains": "b"}""" to "\"abc\"",
                """{"${'$'}exact": {"a": {"${'$'}any": true}}}""" to """{"a": 1}""",
                """{"${'$'}not": {"${'$'}len": 0}}""" to "[1]",
            )
        val no =
            listOf(
                "\"10\"" to "10",
                "true" to "1",
                """{"a": null}""" to "{}",
                "[1]" to "[1, 2]",
                """{"a": {"${'$'}any": true}}""" to "{}",
                """{"a": {"${'$'}not": 1}}""" to "{}",
                """{"${'$'}match": "a*c"}""" to "\"abd\"",
                """{"${'$'}match": "a?"}""" to "\"ab\"",
                """{"${'$'}contains": [1, 4]}""" to "[1, 2]",
                """{"${'$'}exact": {"a": 1}}""" to """{"a": 1, "b": 2}""",
                """{"${'$'}not": 1}""" to "1",
                """{"${'$'}odd": 1}""" to "1",
            )

        fun match(pair: Pair<String, String>) =
            runCatching { matches(Json.parseToJsonElement(pair.first), Json.parseToJsonElement(pair.second)) }.isSuccess
        yes.forEach { assertTrue(match(it), "$it") }
        no.forEach { assertTrue(!match(it), "$it") }
    }
}

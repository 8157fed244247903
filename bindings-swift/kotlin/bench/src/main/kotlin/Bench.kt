/** Measures the package beside plain UniFFI in the same run: medians of rounds in turns. `bench.sh` builds it, and names choose some. */
package dev.smalt

import dev.smalt.ffi.Crossings
import dev.smalt.ffi.plainCredential
import dev.smalt.ffi.plainPending
import java.io.File
import java.lang.management.ManagementFactory
import java.util.concurrent.atomic.AtomicInteger
import kotlin.math.round
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.double
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

private const val ROUNDS = 5
private const val APPLICATION = "sandbox-oauth"
private const val CUSTOMER = "customer-42"

private class Row(
    val id: String,
    val what: String,
    val ours: Double,
    val peer: String,
    val theirs: Double,
    val unit: String,
    least: Double? = null,
) {
    val ratio = ours / theirs
    val goal = if (least == null) "<= $theirs $unit" else ">= ${least}x"
    val holds = if (least == null) ours <= theirs else ratio >= least

    fun json(): JsonObject =
        JsonObject(
            mapOf(
                "id" to JsonPrimitive(id),
                "what" to JsonPrimitive(what),
                "ours" to JsonPrimitive(ours),
                "peer" to JsonPrimitive(peer),
                "theirs" to JsonPrimitive(theirs),
                "unit" to JsonPrimitive(unit),
                "ratio" to JsonPrimitive(ratio),
                "goal" to JsonPrimitive(goal),
                "holds" to JsonPrimitive(holds),
            ),
        )
}

/** Calls per second, with so many pending all the time. */
private suspend fun rate(
    total: Int,
    together: Int,
    call: suspend () -> Unit,
): Double {
    val left = AtomicInteger(total)
    val started = System.nanoTime()
    coroutineScope {
        repeat(together) {
            launch { while (left.getAndDecrement() > 0) call() }
        }
    }
    return total / ((System.nanoTime() - started) / 1e9)
}

/** The medians of rounds in which all take their turns; a first round warms up. */
private suspend fun interleaved(vararg measures: suspend () -> Double): List<Double> {
    for (measure in measures) measure()
    val seen = measures.map { mutableListOf<Double>() }
    repeat(ROUNDS) {
        for ((values, measure) in seen.zip(measures)) values += measure()
    }
    return seen.map { it.sorted()[ROUNDS / 2] }
}

/** Crossings per call, in a hundredth. */
private suspend fun crossings(
    total: Int,
    together: Int,
    call: suspend () -> Unit,
): Double {
    rate(total, together, call)
    val before = Crossings.made
    rate(total, together, call)
    return round((Crossings.made - before) * 100.0 / total) / 100
}

/** A connected account of the sandbox, and how it is asked: by the package, and by plain UniFFI. */
private class Asked(
    val smalt: Smalt,
) {
    private val account = smalt.account(CUSTOMER)
    private val engine = smalt.handle.engine.number.toULong()
    private val request =
        obj {
            put("account", json(CUSTOMER))
            put("application", json(APPLICATION))
        }

    suspend fun connect() {
        account.ensure()
        account.connect(APPLICATION)
        account.credential(APPLICATION)
    }

    suspend fun ready() {
        account.credential(APPLICATION)
    }

    /** What waits takes this way; a credential from memory takes a shorter one. */
    suspend fun pending() {
        account.handle.waited("credential", request)
    }

    suspend fun plainReady() {
        plainCredential(engine, CUSTOMER, APPLICATION)
    }

    suspend fun plainWaiting() {
        plainPending(engine, CUSTOMER, APPLICATION)
    }
}

private suspend fun ready(asked: Asked): List<Row> {
    val (ours, theirs) = interleaved({ rate(4_000, 1) { asked.ready() } }, { rate(4_000, 1) { asked.plainReady() } })
    return listOf(Row("kotlin-ready", "ready credential, per await", ours, "UniFFI", theirs, "calls/s", least = 1.0))
}

private suspend fun pending(asked: Asked): List<Row> {
    val (ours, theirs) = interleaved({ rate(8_000, 64) { asked.pending() } }, { rate(8_000, 64) { asked.plainWaiting() } })
    return listOf(Row("kotlin-pending", "64 pending", ours, "UniFFI", theirs, "calls/s", least = 1.0))
}

private suspend fun counted(asked: Asked): List<Row> {
    val ledger = Json.parseToJsonElement(File(System.getProperty("smalt.ledger")).readText()).jsonObject
    val counts =
        mapOf<String, suspend () -> Double>(
            "ready" to { crossings(2_000, 1) { asked.ready() } },
            "alone" to { crossings(2_000, 1) { asked.pending() } },
            "64 at once" to { crossings(20_000, 64) { asked.pending() } },
            "UniFFI, ready" to { crossings(2_000, 1) { asked.plainReady() } },
            "UniFFI, alone" to { crossings(2_000, 1) { asked.plainWaiting() } },
            "UniFFI, 64 at once" to { crossings(20_000, 64) { asked.plainWaiting() } },
        )
    return counts.map { (what, count) ->
        val id = "kotlin-crossings-" + what.lowercase().replace(", ", "-").replace(" ", "-")
        Row(id, "crossings of a credential, $what", count(), "ledger", ledger.getValue(what).jsonPrimitive.double, "crossings")
    }
}

/** What is alive of the heap while so many wait. */
private suspend fun heap(asked: Asked): List<Row> {
    val count = 10_000
    val last = asked.smalt.eventsPage().items.lastOrNull()?.cursor
    val before = Port.pending
    var live = 0.0
    coroutineScope {
        val all = List(count) { launch { asked.smalt.eventsPage(since = last, wait = 600.seconds) } }
        while (Port.pending < before + count) delay(50)
        repeat(3) { System.gc() }
        live = ManagementFactory.getMemoryMXBean().heapMemoryUsage.used / (1024.0 * 1024.0)
        all.forEach { it.cancel() }
    }
    return listOf(Row("kotlin-waiting-heap", "live heap of 10,000 waiting calls", live, "budget", 300.0, "MiB"))
}

@OptIn(ExperimentalSerializationApi::class)
private fun keep(
    path: File,
    rows: List<Row>,
) {
    val known = if (path.exists()) Json.parseToJsonElement(path.readText()).jsonArray else JsonArray(emptyList<JsonElement>())
    val mine = rows.map { it.id }
    val others = known.filter { it.jsonObject.getValue("id").jsonPrimitive.content !in mine }
    path.absoluteFile.parentFile.mkdirs()
    val pretty =
        Json {
            prettyPrint = true
            prettyPrintIndent = "  "
        }
    path.writeText(pretty.encodeToString(JsonElement.serializer(), JsonArray(others + rows.map { it.json() })) + "\n")
}

public fun main(arguments: Array<String>) {
    val benches = mapOf("ready" to ::ready, "pending" to ::pending, "crossings" to ::counted, "heap" to ::heap)
    val chosen = arguments.drop(1).ifEmpty { benches.keys.toList() }
    val rows =
        runBlocking(Dispatchers.Default) {
            Smalt.sandbox().let { smalt ->
                val asked = Asked(smalt)
                asked.connect()
                val rows =
                    chosen.flatMap {
                        println("kotlin $it …")
                        benches.getValue(it)(asked)
                    }
                smalt.shutdown()
                rows
            }
        }
    for (one in rows) {
        val holds = if (one.holds) "yes" else "NO"
        println("%-44s %14.2f %14.2f  %-9s %7.2f  %s (%s) %s".format(one.what, one.ours, one.theirs, one.unit, one.ratio, one.goal, one.peer, holds))
    }
    keep(File(arguments[0]), rows)
}

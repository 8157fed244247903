package dev.smalt.conformance

import dev.smalt.SmaltException
import dev.smalt.jsonOf
import dev.smalt.reveals
import java.nio.file.Path
import kotlin.io.path.nameWithoutExtension
import kotlin.io.path.readText
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.double
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

// The Kotlin driver of the conformance cases: see tests/conformance/README.md.

private val EVENTUALLY = 30.seconds
private val STEP = setOf("do", "note", "as", "args", "save", "expect", "error", "repeat", "parallel", "outcomes", "eventually")
private val CASE = setOf("version", "id", "title", "tags", "environment", "project", "manifests", "clock", "steps")

/** In a case, or of this driver. */
internal class Mistake(
    why: String,
) : Exception(why)

/** A case does not hold. */
internal class Failed(
    why: String,
) : Exception(why)

internal typealias Args = Map<String, JsonElement>

internal class Case(
    val json: JsonObject,
) {
    val id: String = json.getValue("id").jsonPrimitive.content
    val steps: List<JsonObject> = json.getValue("steps").jsonArray.map { it.jsonObject }

    fun verbs(): List<String> = steps.map { it.getValue("do").jsonPrimitive.content }

    companion object {
        fun read(path: Path): Case {
            val case = Case(Json.parseToJsonElement(path.readText()).jsonObject)
            if (case.json["version"] != JsonPrimitive(1)) throw Mistake("$path: this driver knows version 1 only")
            val unknown = case.json.keys - CASE + case.steps.flatMap { it.keys - STEP }
            if (unknown.isNotEmpty() || case.id != path.nameWithoutExtension) throw Mistake("$path: unknown keys $unknown, or another id")
            return case
        }
    }
}

/** RFC 7396. */
internal fun merge(
    target: JsonElement?,
    patch: JsonElement,
): JsonElement {
    if (patch !is JsonObject) return patch
    val merged = LinkedHashMap((target as? JsonObject) ?: emptyMap())
    patch.forEach { (key, value) -> if (value is JsonNull) merged.remove(key) else merged[key] = merge(merged[key], value) }
    return JsonObject(merged)
}

private val NAME = Regex("""\$\{([^}]*)\}""")

internal fun fill(
    value: JsonElement,
    saved: Args,
): JsonElement {
    fun named(name: String) = saved[name] ?: throw Mistake("`\${$name}` was not saved")
    return when {
        value is JsonArray -> JsonArray(value.map { fill(it, saved) })
        value is JsonObject -> JsonObject(value.mapValues { fill(it.value, saved) })
        value is JsonPrimitive && value.isString -> {
            val whole = NAME.matchEntire(value.content)
            if (whole != null) {
                named(whole.groupValues[1])
            } else {
                JsonPrimitive(NAME.replace(value.content) { text(named(it.groupValues[1])) })
            }
        }
        else -> value
    }
}

private fun text(value: JsonElement): String = if (value is JsonPrimitive && value.isString) value.content else value.toString()

private fun pointer(
    value: JsonElement,
    path: String,
): JsonElement {
    var at: JsonElement? = value
    for (part in path.split("/").drop(1)) {
        val name = part.replace("~1", "/").replace("~0", "~")
        at =
            when (at) {
                is JsonObject -> at[name]
                is JsonArray -> name.toIntOrNull()?.let { at.getOrNull(it) }
                else -> null
            }
    }
    return at ?: throw Failed("the answer has no `$path` to save")
}

/** How a step ended once. */
internal sealed interface Ended {
    class Well(
        val answer: JsonElement,
    ) : Ended

    class Badly(
        val error: SmaltException,
    ) : Ended
}

/** Runs a case; throws when it does not hold. */
internal suspend fun run(
    case: Case,
    world: World,
) {
    val saved = LinkedHashMap<String, JsonElement>(world.given)
    case.steps.forEachIndexed { index, step ->
        try {
            take(world, step, saved)
        } catch (why: Exception) {
            if (why !is Failed && why !is Differs && why !is Mistake) throw why
            throw Failed("step ${index + 1} (${step["do"]?.jsonPrimitive?.content}): ${why.message}")
        }
    }
}

private suspend fun take(
    world: World,
    step: JsonObject,
    saved: MutableMap<String, JsonElement>,
) {
    val filled = JsonObject(step.mapValues { (key, value) -> if (key in setOf("args", "as", "expect", "error")) fill(value, saved) else value })
    val begun = TimeSource.Monotonic.markNow()
    while (true) {
        val ends = limited(world, filled)
        try {
            check(filled, ends)
            filled["save"]?.jsonObject?.forEach { (name, path) ->
                val last = ends.last() as? Ended.Well ?: throw Failed("there is no answer to save from")
                saved[name] = pointer(last.answer, path.jsonPrimitive.content)
            }
            return
        } catch (why: Exception) {
            val again = filled["eventually"]?.jsonPrimitive?.boolean == true && begun.elapsedNow() < EVENTUALLY
            if (!again || (why !is Failed && why !is Differs)) throw why
            delay(20.milliseconds)
        }
    }
}

/** The program of bad networks says how long a step may take; cases of conformance don't. */
private suspend fun limited(
    world: World,
    step: JsonObject,
): List<Ended> {
    val within = step["within"]?.jsonPrimitive?.double ?: return act(world, step)
    return withTimeoutOrNull(within.seconds) { act(world, step) } ?: throw Failed("it did not end within $within s")
}

private suspend fun act(
    world: World,
    step: JsonObject,
): List<Ended> {
    suspend fun once(): Ended =
        try {
            Ended.Well(world.perform(step.getValue("do").jsonPrimitive.content, step["as"], step["args"]?.jsonObject ?: emptyMap()))
        } catch (error: SmaltException) {
            Ended.Badly(error)
        }
    val parallel = step["parallel"]?.jsonPrimitive?.int ?: return List(step["repeat"]?.jsonPrimitive?.int ?: 1) { once() }
    return coroutineScope {
        val ends = Channel<Ended>(parallel)
        repeat(parallel) { launch { ends.send(once()) } }
        List(parallel) { ends.receive() }
    }
}

private fun check(
    step: JsonObject,
    ends: List<Ended>,
) {
    val outcomes = step["outcomes"]?.jsonObject
    if (outcomes != null) {
        val got = ends.groupingBy { if (it is Ended.Badly) it.error.code else "ok" }.eachCount()
        if (got != outcomes.mapValues { it.value.jsonPrimitive.int }) throw Failed("expected the outcomes $outcomes, got $got")
        return
    }
    ends.forEach { check(step, it) }
}

private fun check(
    step: JsonObject,
    end: Ended,
) {
    val wanted = step["error"]?.jsonObject
    when (end) {
        is Ended.Well -> {
            if (wanted != null) throw Failed("expected the error ${wanted["code"]}, got ${end.answer}")
            step["expect"]?.let { matches(it, end.answer) }
        }
        is Ended.Badly -> {
            val error = end.error
            if (wanted == null) throw Failed("expected an answer, got the error $error ${error.context}")
            val unknown = wanted.keys - setOf("code", "context", "retry_after", "without")
            if (unknown.isNotEmpty()) throw Mistake("unknown keys $unknown")
            if (error.code != wanted.getValue("code").jsonPrimitive.content) throw Failed("expected the error ${wanted["code"]}, got $error")
            wanted["context"]?.let { matches(it, jsonOf(error.context)) }
            wanted["retry_after"]?.let { matches(it, jsonOf(error.retryAfter?.inWholeSeconds)) }
            wanted["without"]?.jsonArray?.forEach {
                if (reveals(error, it.jsonPrimitive.content)) throw Failed("`${it.jsonPrimitive.content}` stands in the error $error")
            }
        }
    }
}

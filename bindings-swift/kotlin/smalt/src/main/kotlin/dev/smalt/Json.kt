package dev.smalt

import java.time.Instant
import java.util.Base64
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlin.time.DurationUnit
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

// What the generated code reads and writes JSON with.

internal fun strange(): Nothing =
    throw failure("internal", "internal", "An answer has another form than this version of the package knows. Use packages of one version.")

internal fun parsed(bytes: ByteArray): JsonElement = Json.parseToJsonElement(bytes.decodeToString())

internal fun objectOf(json: JsonElement): JsonObject = json as? JsonObject ?: strange()

private fun primitive(json: JsonElement): JsonPrimitive = (json as? JsonPrimitive)?.takeIf { it !is JsonNull } ?: strange()

internal fun textOf(json: JsonElement): String = primitive(json).takeIf { it.isString }?.content ?: strange()

internal fun secretOf(json: JsonElement): Secret = Secret(textOf(json))

internal fun booleanOf(json: JsonElement): Boolean = primitive(json).content.toBooleanStrictOrNull() ?: strange()

internal fun longOf(json: JsonElement): Long = primitive(json).content.toLongOrNull() ?: strange()

internal fun intOf(json: JsonElement): Int = primitive(json).content.toIntOrNull() ?: strange()

internal fun doubleOf(json: JsonElement): Double = primitive(json).content.toDoubleOrNull() ?: strange()

internal fun instantOf(json: JsonElement): Instant = Instant.parse(textOf(json))

internal fun durationOf(json: JsonElement): Duration = doubleOf(json).seconds

internal fun bytesOf(json: JsonElement): ByteArray = Base64.getDecoder().decode(textOf(json))

internal inline fun <T> listIn(
    json: JsonElement,
    read: (JsonElement) -> T,
): List<T> = (json as? JsonArray ?: strangeForm()).map(read)

internal inline fun <T> mapIn(
    json: JsonElement,
    read: (JsonElement) -> T,
): Map<String, T> = objectOf(json).mapValues { read(it.value) }

internal inline fun <T> pageOf(
    json: JsonElement,
    read: (JsonElement) -> T,
): Page<T> {
    val its = objectOf(json)
    return Page(need(its, "items") { listIn(it, read) }, maybe(its, "next") { textOf(it) })
}

@PublishedApi
internal fun strangeForm(): Nothing = strange()

internal inline fun <T> need(
    its: JsonObject,
    name: String,
    read: (JsonElement) -> T,
): T = read(its[name] ?: strangeForm())

/** `null` for what is absent, too. */
internal inline fun <T> maybe(
    its: JsonObject,
    name: String,
    read: (JsonElement) -> T,
): T? = its[name]?.takeIf { it !is JsonNull }?.let(read)

/** Where `null` says something else than absence. */
internal inline fun <T> absentOr(
    its: JsonObject,
    name: String,
    absent: T?,
    read: (JsonElement) -> T,
): T? = if (name in its) maybe(its, name, read) else absent

internal fun json(text: String): JsonElement = JsonPrimitive(text)

internal fun json(secret: Secret): JsonElement = JsonPrimitive(secret.reveal())

internal fun json(yes: Boolean): JsonElement = JsonPrimitive(yes)

internal fun json(number: Int): JsonElement = JsonPrimitive(number)

internal fun json(number: Long): JsonElement = JsonPrimitive(number)

internal fun json(number: Double): JsonElement = JsonPrimitive(number)

internal fun json(time: Duration): JsonElement = JsonPrimitive(time.toDouble(DurationUnit.SECONDS))

internal fun json(bytes: ByteArray): JsonElement = JsonPrimitive(Base64.getEncoder().encodeToString(bytes))

internal inline fun <T> array(
    items: List<T>,
    write: (T) -> JsonElement,
): JsonElement = JsonArray(items.map(write))

internal inline fun <T> obj(
    entries: Map<String, T>,
    write: (T) -> JsonElement,
): JsonElement = JsonObject(entries.mapValues { write(it.value) })

internal inline fun <T : Any> orNull(
    value: T?,
    write: (T) -> JsonElement,
): JsonElement = if (value == null) JsonNull else write(value)

/** An object's entries while it is put together. No map: its members would hide properties of the same names. */
internal class Entries {
    val made: LinkedHashMap<String, JsonElement> = LinkedHashMap()

    fun put(
        name: String,
        value: JsonElement,
    ) {
        made[name] = value
    }

    inline fun <T : Any> putSome(
        name: String,
        value: T?,
        write: (T) -> JsonElement,
    ) {
        if (value != null) put(name, write(value))
    }
}

internal inline fun obj(put: Entries.() -> Unit): JsonObject = JsonObject(Entries().apply(put).made)

internal inline fun <T : Any> MutableMap<String, JsonElement>.putSome(
    name: String,
    value: T?,
    write: (T) -> JsonElement,
) {
    if (value != null) put(name, write(value))
}

/** What was generated for JSON's sake is written as text. */
internal fun JsonElement.bytes(): ByteArray = toString().encodeToByteArray()

/** Any value as JSON: texts, numbers, truth values, lists and maps of such, `null`. */
public fun jsonOf(value: Any?): JsonElement =
    when (value) {
        null -> JsonNull
        is JsonElement -> value
        is String -> JsonPrimitive(value)
        is Boolean -> JsonPrimitive(value)
        is Number -> JsonPrimitive(value)
        is Map<*, *> -> JsonObject(value.entries.associate { (name, inner) -> name.toString() to jsonOf(inner) })
        is Iterable<*> -> JsonArray(value.map { jsonOf(it) })
        is Array<*> -> JsonArray(value.map { jsonOf(it) })
        else -> throw IllegalArgumentException("${value::class.java.name} has no JSON form")
    }

package dev.smalt.conformance

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.contentOrNull

/** Where and how an answer differs from what a case expects. */
internal class Differs(
    why: String,
) : Exception(why)

/**
 * Whether an answer is what a case expects; throws [Differs] otherwise. Kotlin's answers have no absent attributes: `null` stands for
 * both, so `$absent` takes it.
 */
internal fun matches(
    wanted: JsonElement,
    got: JsonElement,
) = at("", wanted, got)

private fun isSpecial(wanted: JsonElement) = wanted is JsonObject && wanted.keys.any { it.startsWith("$") }

private fun number(json: JsonElement): Double? = (json as? JsonPrimitive)?.takeIf { !it.isString && it !is JsonNull }?.content?.toDoubleOrNull()

private fun at(
    path: String,
    wanted: JsonElement,
    got: JsonElement?,
) {
    if (isSpecial(wanted)) {
        (wanted as JsonObject).forEach { (key, value) -> special(path, key, value, got) }
        return
    }
    val place = path.ifEmpty { "the answer" }
    if (got == null) throw Differs("$place: expected $wanted, but there is nothing")
    val differs = Differs("$place: expected $wanted, got $got")
    when {
        wanted is JsonObject -> {
            if (got !is JsonObject) throw differs
            wanted.forEach { (key, inner) -> at("$path/$key", inner, got[key]) }
        }
        wanted is JsonArray -> {
            if (got !is JsonArray || got.size != wanted.size) throw differs
            wanted.forEachIndexed { index, inner -> at("$path/$index", inner, got[index]) }
        }
        number(wanted) != null && number(got) != null -> if (number(wanted) != number(got)) throw differs
        wanted != got -> throw differs
    }
}

private fun special(
    path: String,
    key: String,
    given: JsonElement,
    got: JsonElement?,
) {
    val place = path.ifEmpty { "the answer" }
    if (key == "\$absent") {
        if (got != null && got !is JsonNull) throw Differs("$place: expected nothing, got $got")
        return
    }
    if (got == null) throw Differs("$place: expected {\"$key\": $given}, but there is nothing")
    val fits =
        when (key) {
            "\$any" -> true
            "\$type" -> text(given) == typeOf(got)
            "\$match" -> {
                val pattern = text(given).split("*").joinToString("[\\s\\S]*") { Regex.escape(it) }
                got is JsonPrimitive && got.isString && Regex(pattern).matches(got.content)
            }
            "\$len" -> number(given)?.toInt() == lengthOf(got)
            "\$contains" -> return contains(place, given, got)
            "\$exact" -> {
                if (given is JsonObject && (got !is JsonObject || !sameKeys(given, got))) {
                    throw Differs("$place: expected exactly $given, got $got")
                }
                return at(path, given, got)
            }
            "\$not" ->
                try {
                    at(path, given, got)
                    false
                } catch (_: Differs) {
                    return
                }
            else -> throw Differs("$place: `$key` is no matcher: a mistake in the case")
        }
    if (!fits) throw Differs("$place: expected {\"$key\": $given}, got $got")
}

private fun text(json: JsonElement): String = (json as JsonPrimitive).contentOrNull.orEmpty()

/** What is `null` here may be absent elsewhere. */
private fun sameKeys(
    given: JsonObject,
    got: JsonObject,
) = got.keys.containsAll(given.keys) && (got.keys - given.keys).all { got[it] is JsonNull }

private fun contains(
    place: String,
    given: JsonElement,
    got: JsonElement,
) {
    val parts = given as? JsonArray ?: listOf(given)
    if (got is JsonPrimitive && got.isString) {
        if (!parts.all { it is JsonPrimitive && it.isString && it.content in got.content }) {
            throw Differs("$place: expected a text with $given, got $got")
        }
        return
    }
    if (got !is JsonArray) throw Differs("$place: expected a list with $given, got $got")
    for (part in parts) {
        val found =
            got.any {
                try {
                    matches(part, it)
                    true
                } catch (_: Differs) {
                    false
                }
            }
        if (!found) throw Differs("$place: no member matches $part: $got")
    }
}

private fun typeOf(json: JsonElement): String =
    when (json) {
        is JsonNull -> "null"
        is JsonArray -> "array"
        is JsonObject -> "object"
        is JsonPrimitive ->
            when {
                json.isString -> "string"
                json.content == "true" || json.content == "false" -> "boolean"
                else -> "number"
            }
    }

private fun lengthOf(json: JsonElement): Int? =
    when {
        json is JsonArray -> json.size
        json is JsonObject -> json.size
        json is JsonPrimitive && json.isString -> json.content.codePointCount(0, json.content.length)
        else -> null
    }

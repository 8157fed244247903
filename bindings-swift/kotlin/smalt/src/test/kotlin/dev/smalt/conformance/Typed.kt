package dev.smalt.conformance

import dev.smalt.AppManifest
import dev.smalt.Labels
import dev.smalt.Page
import dev.smalt.Secret
import dev.smalt.SecretRef
import dev.smalt.WorkflowUpdate
import dev.smalt.jsonOf
import java.lang.reflect.InvocationTargetException
import java.time.Instant
import java.time.ZoneOffset
import java.time.format.DateTimeFormatter
import java.util.Base64
import kotlin.reflect.KClass
import kotlin.reflect.KParameter
import kotlin.reflect.KType
import kotlin.reflect.full.callSuspendBy
import kotlin.reflect.full.instanceParameter
import kotlin.reflect.full.memberFunctions
import kotlin.reflect.full.memberProperties
import kotlin.reflect.full.primaryConstructor
import kotlin.reflect.full.valueParameters
import kotlin.reflect.typeOf
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlin.time.DurationUnit
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

/** A value that the typed methods cannot be given: the case means the core's refusal of it. */
internal class Unfit(
    why: String,
) : Exception(why)

internal fun camel(name: String): String = name.split("_").let { parts -> parts.first() + parts.drop(1).joinToString("") { it.replaceFirstChar(Char::uppercase) } }

private fun snake(name: String): String = name.replace(Regex("([A-Z])")) { "_" + it.value.lowercase() }

/** Calls the package's methods by name, with values read from JSON into the types that they declare. */
internal object Typed {
    fun has(
        target: Any,
        verb: String,
    ): Boolean = target::class.memberFunctions.any { it.name == camel(verb) }

    suspend fun call(
        target: Any,
        verb: String,
        args: Map<String, JsonElement>,
        ready: Map<String, Any?> = emptyMap(),
    ): Any? {
        val function = target::class.memberFunctions.singleOrNull { it.name == camel(verb) } ?: throw Unfit("there is no `$verb`")
        val values = HashMap<KParameter, Any?>()
        values[function.instanceParameter!!] = target

        fun parameter(name: String) = function.valueParameters.firstOrNull { it.name == camel(name) } ?: throw Unfit("`$verb` takes no `$name`")
        args.forEach { (name, value) -> values[parameter(name)] = read(parameter(name).type, value) }
        ready.forEach { (name, value) -> values[parameter(name)] = value }
        function.valueParameters.firstOrNull { !it.isOptional && it !in values }?.let { throw Unfit("`$verb` needs `${it.name}`") }
        try {
            return function.callSuspendBy(values)
        } catch (wrapped: InvocationTargetException) {
            throw wrapped.targetException
        }
    }

    private fun text(json: JsonElement): String = (json as? JsonPrimitive)?.takeIf { it.isString }?.content ?: throw Unfit("$json is no text")

    private fun number(json: JsonElement): String =
        (json as? JsonPrimitive)?.takeIf { !it.isString && it !is JsonNull }?.content ?: throw Unfit("$json is no number")

    fun read(
        type: KType,
        json: JsonElement,
    ): Any? {
        val of = type.classifier as KClass<*>
        if (of == JsonElement::class) return json
        if (json is JsonNull) return if (type.isMarkedNullable) null else throw Unfit("null where `$type` is")
        return when (of) {
            String::class -> text(json)
            Secret::class -> Secret(text(json))
            Boolean::class -> number(json).toBooleanStrictOrNull() ?: throw Unfit("$json is neither true nor false")
            Int::class -> number(json).toIntOrNull() ?: throw Unfit("$json is no whole number")
            Long::class -> number(json).toLongOrNull() ?: throw Unfit("$json is no whole number")
            Double::class -> number(json).toDoubleOrNull() ?: throw Unfit("$json is no number")
            Duration::class -> (number(json).toDoubleOrNull() ?: throw Unfit("$json is no number")).seconds
            List::class -> (json as? JsonArray ?: throw Unfit("$json is no list")).map { read(type.arguments[0].type!!, it) }
            Map::class -> (json as? JsonObject ?: throw Unfit("$json is no object")).mapValues { read(type.arguments[1].type!!, it.value) }
            Labels::class -> labels(json)
            SecretRef::class -> (json as JsonObject).let { its -> its["env"]?.let { SecretRef.Env(text(it)) } ?: SecretRef.File(text(its.getValue("file"))) }
            WorkflowUpdate::class -> if (json is JsonPrimitive) WorkflowUpdate(enabled = read(typeOf<Boolean>(), json) as Boolean) else record(of, json)
            else -> if (of.java.isEnum) named(of, text(json)) else record(of, json)
        }
    }

    private fun named(
        of: KClass<*>,
        text: String,
    ): Any = of.java.enumConstants.firstOrNull { plain(it) == JsonPrimitive(text) && text.isNotEmpty() } ?: throw Unfit("there is no `$text`")

    private fun labels(json: JsonElement): Labels {
        val list = typeOf<List<dev.smalt.Label>>()
        @Suppress("UNCHECKED_CAST")
        return when (json) {
            is JsonArray -> Labels.ForAll(read(list, json) as List<dev.smalt.Label>)
            is JsonObject -> Labels.ByObject(json.mapValues { read(list, it.value) as List<dev.smalt.Label> })
            else -> throw Unfit("$json are no labels")
        }
    }

    fun record(
        of: KClass<*>,
        json: JsonElement,
    ): Any {
        if (json !is JsonObject) throw Unfit("$json is no object")
        val constructor = of.primaryConstructor ?: throw Unfit("$of is made otherwise")
        val values = HashMap<KParameter, Any?>()
        json.forEach { (name, value) ->
            val parameter = constructor.parameters.firstOrNull { it.name == camel(name) } ?: throw Unfit("`$of` has no `$name`")
            values[parameter] = read(parameter.type, value)
        }
        constructor.parameters.firstOrNull { !it.isOptional && it !in values }?.let { throw Unfit("`$of` needs `${it.name}`") }
        return constructor.callBy(values)
    }
}

private val TIME = DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC)

/** The JSON form of an answer. */
internal fun plain(value: Any?): JsonElement =
    when (value) {
        is Secret -> JsonPrimitive(value.reveal())
        is Instant -> JsonPrimitive(TIME.format(value))
        is Duration -> JsonPrimitive(value.toDouble(DurationUnit.SECONDS))
        is ByteArray -> JsonPrimitive(Base64.getEncoder().encodeToString(value))
        is AppManifest -> value.data
        is Enum<*> -> JsonPrimitive(value::class.java.getMethod("getText").invoke(value) as String)
        is JsonElement -> value
        is Map<*, *> -> JsonObject(value.entries.associate { (name, inner) -> name as String to plain(inner) })
        is List<*> -> JsonArray(value.map { plain(it) })
        is Page<*> -> JsonObject(mapOf("items" to plain(value.items), "next" to plain(value.next)))
        else ->
            if (value != null && value::class.isData) {
                JsonObject(value::class.memberProperties.associate { property -> snake(property.name) to plain(property.getter.call(value)) })
            } else {
                jsonOf(value)
            }
    }

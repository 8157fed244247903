package dev.smalt

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject

// Types whose form is a choice of Kotlin's; those that are core's as they are stand in Types.kt.

/** Entries of a list, and where it goes on. */
public data class Page<out T>(
    /** The entries. */
    public val items: List<T>,
    /** Pass it to get the next page; absent on the last one. */
    public val next: String? = null,
)

/** Left-hand entries of `map` fields, supplied by the caller. */
public sealed interface Labels {
    /** For every field with dynamic labels. */
    public data class ForAll(
        /** The entries. */
        public val labels: List<Label>,
    ) : Labels

    /** By the field's `label_object`. */
    public data class ByObject(
        /** The entries of each. */
        public val labels: Map<String, List<Label>>,
    ) : Labels
}

internal fun Labels.json(): JsonElement =
    when (this) {
        is Labels.ForAll -> array(labels) { it.json() }
        is Labels.ByObject -> obj(labels) { entries -> array(entries) { it.json() } }
    }

/** Where a secret is read from; it never stands in the project file. */
public sealed interface SecretRef {
    /** An environment variable. */
    public data class Env(
        /** Its name. */
        public val name: String,
    ) : SecretRef

    /** A file, relative to the project file; one trailing line break is dropped. */
    public data class File(
        /** Its path. */
        public val path: String,
    ) : SecretRef
}

internal fun secretRefOf(json: JsonElement): SecretRef {
    val its = objectOf(json)
    return maybe(its, "env") { SecretRef.Env(textOf(it)) } ?: need(its, "file") { SecretRef.File(textOf(it)) }
}

internal fun SecretRef.json(): JsonElement =
    when (this) {
        is SecretRef.Env -> obj { put("env", json(name)) }
        is SecretRef.File -> obj { put("file", json(path)) }
    }

/** Whether trying again can help. */
public enum class Retry(
    /** As it stands in JSON. */
    public val text: String,
) {
    /** The same call will fail the same way. */
    NEVER("never"),

    /** The same call may succeed later; see `retryAfter`. */
    LATER("later"),

    /** Only after the user has authorised again. */
    AFTER_REAUTH("after_reauth"),
}

/**
 * An application as data.
 *
 * @property data The manifest's content.
 */
public class AppManifest(
    public val data: JsonObject,
) {
    /** The application's stable name. */
    public val slug: String = textOf(data["slug"] ?: strangeForm())

    override fun toString(): String = "AppManifest($slug)"

    public companion object {
        /**
         * Reads and checks a manifest file (TOML).
         *
         * @throws SmaltException.Configuration `manifest_invalid` names file, line, key and the cure.
         */
        @JvmStatic
        public fun load(path: String): AppManifest = AppManifest(objectOf(parsed(native.loadManifest(path))))
    }
}

// What a provider's answer, a cookie and a credential can be asked.

/** Whether the status is one of success. */
public val ApiAnswer.ok: Boolean get() = status in 200..299

/** The first header of this name, whatever its case. */
public fun ApiAnswer.header(name: String): String? = headers.firstOrNull { it.name.equals(name, ignoreCase = true) }?.value

/** The body as text (UTF-8; what is none is replaced). */
public val ApiAnswer.text: String get() = body.decodeToString()

/**
 * The body as JSON.
 *
 * @throws IllegalArgumentException It is none.
 */
public fun ApiAnswer.json(): JsonElement = parsed(body)

/** The value of the `Set-Cookie` header for an https site. Browsers also take it on `http://localhost`, Safari excepted. */
public fun StateCookie.header(): String = "$name=${value.reveal()}; Max-Age=$maxAge; Path=/; Secure; HttpOnly; SameSite=Lax"

/**
 * The value of the `Authorization` header.
 *
 * @throws IllegalStateException The credential has no access token: its `values` are what the user entered.
 */
public fun Credential.authorization(): Secret {
    val token = checkNotNull(accessToken) { "this credential has no access token: its `values` are what the user entered" }
    val kind = tokenType ?: "Bearer"
    return Secret("${if (kind.equals("bearer", ignoreCase = true)) "Bearer" else kind} ${token.reveal()}")
}

/** Names and values, for queries, headers and forms. */
internal fun pairs(values: Map<String, String>): JsonElement =
    JsonArray(
        values.map { (name, value) ->
            obj {
                put("name", json(name))
                put("value", json(value))
            }
        },
    )

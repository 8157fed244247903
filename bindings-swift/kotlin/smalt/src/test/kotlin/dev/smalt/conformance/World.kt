package dev.smalt.conformance

import dev.smalt.Account
import dev.smalt.ApiAnswer
import dev.smalt.AppManifest
import dev.smalt.Body
import dev.smalt.Connection
import dev.smalt.Environment
import dev.smalt.NewApiKey
import dev.smalt.NewWebhook
import dev.smalt.PortalLink
import dev.smalt.Project
import dev.smalt.Secret
import dev.smalt.Session
import dev.smalt.SharedOperations
import dev.smalt.Smalt
import dev.smalt.SmaltException
import dev.smalt.Timings
import dev.smalt.UpsertedAccount
import dev.smalt.Webhooks
import dev.smalt.failure
import dev.smalt.jsonOf
import dev.smalt.testing.FixedClock
import dev.smalt.testing.Sandbox
import java.nio.file.Files
import java.nio.file.Path
import java.time.Instant
import java.util.Base64
import java.util.concurrent.atomic.AtomicInteger
import kotlin.io.path.listDirectoryEntries
import kotlin.io.path.readBytes
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.asFlow
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.boolean
import kotlinx.serialization.json.double
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

private val TIMINGS =
    Timings(
        provider = 6.seconds,
        lease = 8.seconds,
        plugin = 6.seconds,
        poll = 20.milliseconds,
        revokeBackoff = 50.milliseconds,
        ahead = null,
        webhookBackoff = 50.milliseconds,
        webhookAttempts = 5,
    )

/** What the operations table keeps to embedded engines; see docs/operations.md. */
private val EMBEDDED_ONLY = setOf("rotate_keys", "set_project")

/** What is done where the engine is. */
private val HOST_VERBS = setOf("advance", "restart", "register_connector", "register_runner", "search_store")

private fun nothing(): JsonElement = JsonObject(emptyMap())

private fun content(json: JsonElement?): String = json!!.jsonPrimitive.content

/** What one case runs in. */
internal abstract class World(
    protected val room: Path,
) {
    abstract val smalt: Smalt
    abstract val origin: String
    open val clock: FixedClock? = null
    protected open val presenter: ScriptedPresenter? = null

    val given: Args get() = mapOf("keys" to JsonPrimitive(room.resolve("keys").toString()), "sandbox" to JsonPrimitive(origin))

    abstract suspend fun end()

    /** Does a verb of the driver's own where the engine is. */
    protected abstract suspend fun host(
        verb: String,
        args: Args,
    ): JsonElement

    /** A backend that does not have an operation refuses it; then the engine does it. `null`: this one has it. */
    protected open suspend fun elsewhere(
        verb: String,
        token: Secret?,
        args: Args,
        call: suspend () -> JsonElement,
    ): JsonElement = call()

    private fun project(project: JsonElement): JsonElement = merge(project, jsonOf(mapOf("sandbox" to mapOf("url" to origin))))

    suspend fun perform(
        verb: String,
        authority: JsonElement?,
        args: Args,
    ): JsonElement {
        if (verb in HOST_VERBS) return host(verb, args)
        own(verb, args)?.let { return it }
        val kept = args.filter { (name, value) -> value !is JsonNull || name == "value" }.toMutableMap()
        if (verb == "set_project") kept["project"] = project(kept.getValue("project"))
        if (authority == null || authority == JsonPrimitive("organisation")) {
            return elsewhere(verb, null, args) { organisation(verb, LinkedHashMap(kept)) }
        }
        val account = (kept["account"] ?: kept["id"])?.jsonPrimitive?.content.orEmpty()
        val session =
            when {
                authority == JsonPrimitive("session") -> smalt.account(account).session()
                authority is JsonObject && authority.keys == setOf("token") -> smalt.sessionOf(Secret(content(authority["token"])), account)
                else -> throw Mistake("there is no authority `$authority`")
            }
        return elsewhere(verb, session.token, args) { asSession(session, verb, kept) }
    }

    private suspend fun organisation(
        verb: String,
        args: MutableMap<String, JsonElement>,
    ): JsonElement {
        val raw = rawRequest(verb, args)
        return when (verb) {
            "create_account", "upsert_account" -> {
                val flat = linkedMapOf("id" to args.remove("account")!!)
                args.remove("update")?.jsonObject?.let { flat.putAll(it) }
                typed(smalt, verb, flat + args, raw)
            }
            "get_account", "delete_account" -> typed(smalt, verb, args, raw)
            "events" -> typed(smalt, verb, args, raw, method = "events_page")
            "set_project" -> {
                val project =
                    try {
                        Typed.record(Project::class, args.getValue("project")) as Project
                    } catch (_: Unfit) {
                        return answer(verb, smalt.handle.operation(verb, args.getValue("project").jsonObject))
                    }
                smalt.setProject(project)
                nothing()
            }
            "update_webhook" -> typed(smalt, verb, mapOf("webhook" to args.getValue("webhook")) + args.getValue("settings").jsonObject, raw)
            else -> {
                if ("account" !in args) return typed(smalt, verb, args, raw)
                shared(smalt.account(content(args.remove("account"))), verb, args, raw)
            }
        }
    }

    private suspend fun asSession(
        session: Session,
        verb: String,
        args: MutableMap<String, JsonElement>,
    ): JsonElement {
        val raw = rawRequest(verb, args)
        if ("account" in args && Typed.has(session, verb)) return shared(session, verb, (args - "account").toMutableMap(), raw)
        // Verbs that a session does not have at all: the core's refusal is what the case is about.
        return answer(verb, session.handle.operation(verb, if (verb == "set_project") args.getValue("project").jsonObject else raw))
    }

    private suspend fun shared(
        handle: SharedOperations,
        verb: String,
        args: MutableMap<String, JsonElement>,
        raw: JsonObject,
    ): JsonElement {
        if (verb == "wait_flow") args.putIfAbsent("timeout", JsonPrimitive(30))
        if (verb == "update_config") (args.remove("update") as? JsonObject)?.let { args.putAll(it) }
        if (verb == "request" || verb == "request_page" || (verb == "upload" && handle is Account)) {
            val body =
                if (verb == "upload") {
                    args.remove("parts")!!.jsonArray.map { content(it).encodeToByteArray() }.asFlow()
                } else {
                    args.remove("json")?.let { Body.json(it) }
                }
            val texts = listOf("query", "headers").mapNotNull { name -> args.remove(name)?.let { name to texts(it) } }.toMap()
            return answer(verb, Typed.call(handle, verb, args, ready = texts + ("body" to body)))
        }
        return typed(handle, verb, args, raw)
    }

    private fun texts(json: JsonElement): Map<String, String> = json.jsonObject.mapValues { it.value.jsonPrimitive.content }

    /** As it would be written by hand. */
    private fun rawRequest(
        verb: String,
        args: Args,
    ): JsonObject =
        when (verb) {
            "create_account", "upsert_account" -> JsonObject(args - "account" + ("id" to (args["account"] ?: JsonNull)))
            else -> JsonObject(args)
        }

    private suspend fun typed(
        target: Any,
        verb: String,
        args: Args,
        raw: JsonObject,
        method: String = verb,
    ): JsonElement {
        val answered =
            try {
                Typed.call(target, method, args).also { TYPED.incrementAndGet() }
            } catch (unfit: Unfit) {
                // A request that the types have no room for.
                RAW[verb] = unfit.message.orEmpty()
                ((target as? SharedOperations)?.handle ?: smalt.handle).operation(verb, raw)
            }
        return answer(verb, answered)
    }

    private fun answer(
        verb: String,
        answer: Any?,
    ): JsonElement =
        when {
            verb in setOf("delete_account", "delete_config", "delete_webhook", "put_own_credentials", "set_project") -> nothing()
            answer is UpsertedAccount -> JsonObject(plain(answer.account).jsonObject + ("is_new" to JsonPrimitive(answer.isNew)))
            answer is NewApiKey -> JsonObject(plain(answer.info).jsonObject + ("key" to plain(answer.key)))
            answer is NewWebhook -> JsonObject(plain(answer.webhook).jsonObject + ("secret" to plain(answer.secret)))
            answer is PortalLink -> {
                val ticket = answer.url.reveal().substringAfterLast("/").substringBefore("?")
                JsonObject(plain(answer).jsonObject + ("ticket" to JsonPrimitive(ticket)))
            }
            answer is ApiAnswer -> response(answer)
            answer is dev.smalt.ApiPage ->
                JsonObject(mapOf("answer" to response(answer.answer), "items" to plain(answer.items), "next" to plain(answer.next)))
            else -> plain(answer)
        }

    private fun response(answer: ApiAnswer): JsonElement {
        val body =
            try {
                Json.parseToJsonElement(answer.body.decodeToString())
            } catch (_: IllegalArgumentException) {
                JsonNull
            }
        val headers = JsonObject(answer.headers.associate { it.name to JsonPrimitive(it.value) })
        return JsonObject(mapOf("status" to JsonPrimitive(answer.status), "headers" to headers, "json" to body))
    }

    // --- the driver's own verbs ---

    private suspend fun own(
        verb: String,
        args: Args,
    ): JsonElement? =
        when (verb) {
            "sandbox" -> {
                val answer = ask("/control", args.getValue("control"))
                if (answer["ok"] != JsonPrimitive(true)) throw Mistake("the sandbox refused the order: $answer")
                nothing()
            }
            "stats" -> ask("/stats").getValue("stats")
            "inbox" -> ask("/inbox/${content(args["name"])}").getValue("received")
            "visit" -> {
                val added = linkedMapOf("sandbox_user" to (args["user"] ?: JsonPrimitive("ada")), "sandbox_decision" to (args["decision"] ?: JsonPrimitive("allow")))
                args["browser"]?.takeIf { it !is JsonNull }?.let { added["sandbox_browser"] = it }
                val callback = Sandbox.visit(content(args["url"]), added.mapValues { content(it.value) })
                jsonOf(mapOf("callback_url" to callback, "params" to query(callback).toMap()))
            }
            "open" -> opened(args)
            "connect" -> {
                known(args, "account", "application", "presenter", "timeout", "cancel")
                args["presenter"]?.let {
                    if (content(it) !in ScriptedPresenter.KNOWN) throw Mistake("there is no behaviour `$it`")
                    presenter!!.behaviour = content(it)
                }
                val timeout = args["timeout"]?.jsonPrimitive?.double?.seconds

                suspend fun connect() = smalt.account(content(args["account"])).connect(content(args["application"]), timeout = timeout)
                if (args["cancel"] == JsonPrimitive(true)) cancelled { connect() } else plain(connect())
            }
            "tamper_url" -> {
                val (base, fragment) = content(args["url"]).split("#", limit = 2).let { it[0] to it.getOrNull(1) }
                val set = args.getValue("set").jsonObject
                val kept = query(base).filter { (name, _) -> name !in set } + set.filterValues { it !is JsonNull }.map { (name, value) -> name to content(value) }
                val made = kept.joinToString("&") { (name, value) -> "${encoded(name)}=${encoded(value)}" }
                jsonOf(mapOf("url" to base.substringBefore("?") + "?" + made + (fragment?.let { "#$it" } ?: "")))
            }
            "verify_webhook" -> verifyWebhook(args)
            else -> null
        }

    /** Whoever goes away in Kotlin cancels the coroutine. */
    private suspend fun cancelled(connect: suspend () -> Connection): Nothing {
        val shown = presenter!!.shown
        while (shown.tryReceive().isSuccess) continue
        var ended: Any? = null
        coroutineScope {
            val caller =
                launch {
                    try {
                        ended = connect()
                    } catch (end: Throwable) {
                        ended = end
                    }
                }
            caller.invokeOnCompletion { shown.trySend(Unit) }
            shown.receive()
            caller.cancelAndJoin()
        }
        if (ended !is CancellationException) throw Failed("whoever went away was told $ended")
        throw failure("cancelled", "cancelled", "The caller went away.")
    }

    private fun known(
        args: Args,
        vararg names: String,
    ) {
        (args.keys - names.toSet()).firstOrNull()?.let { throw Mistake("there is no argument `$it`") }
    }

    /** An engine of this process, beside the case's, and closed at once: whether it opens. */
    private suspend fun opened(args: Args): JsonElement {
        known(args, "key", "store", "manifests")
        val folder = Files.createTempDirectory("smalt")
        try {
            val path = args["store"]?.let { folder.resolve(content(it)).also { copy -> Files.copy(room.resolve("stores").resolve(content(it)), copy) } }
            val engine =
                Smalt.embedded(path?.toString()) {
                    key = args["key"]?.let { Secret(content(it)) }
                    args["manifests"]?.jsonArray?.forEach { manifests += AppManifest(it.jsonObject) }
                }
            engine.shutdown()
        } finally {
            folder.toFile().deleteRecursively()
        }
        return nothing()
    }

    private fun encoded(text: String) = java.net.URLEncoder.encode(text, "UTF-8")

    private fun query(url: String): List<Pair<String, String>> =
        url.substringBefore("#").substringAfter("?", "").split("&").filter { it.isNotEmpty() }.map { pair ->
            fun decoded(text: String) = java.net.URLDecoder.decode(text, "UTF-8")
            decoded(pair.substringBefore("=")) to decoded(pair.substringAfter("=", ""))
        }

    private fun verifyWebhook(args: Args): JsonElement {
        val headers = texts(args.getValue("headers"))
        val secrets = args.getValue("secrets").jsonArray.map { Secret(content(it)) }
        if (args["compatible"]?.jsonPrimitive?.boolean == true) {
            Webhooks.verifyCompatible(headers.getValue("x-cobalt-signature"), content(args["body"]), secrets)
            return nothing()
        }
        val now = args["now"]?.takeIf { it !is JsonNull }?.let { Instant.parse(content(it)) } ?: clock?.now
        val tolerance = args["tolerance"]?.takeIf { it !is JsonNull }?.let { content(it).toDouble().seconds }
        return plain(Webhooks.verify(headers, content(args["body"]), secrets, tolerance, now))
    }

    protected suspend fun ask(
        path: String,
        body: JsonElement? = null,
    ): JsonObject =
        withContext(Dispatchers.IO) {
            val connection = java.net.URI(origin + path).toURL().openConnection() as java.net.HttpURLConnection
            connection.readTimeout = 60_000
            if (body != null) {
                connection.doOutput = true
                connection.setRequestProperty("content-type", "application/json")
                connection.outputStream.use { it.write(body.toString().encodeToByteArray()) }
            }
            val answer = if (connection.responseCode < 400) connection.inputStream else connection.errorStream
            Json.parseToJsonElement(answer.use { it.readBytes() }.decodeToString()).jsonObject
        }

    companion object {
        /** Calls through typed methods, and verbs that were once called with JSON by hand. */
        val TYPED = AtomicInteger()
        val RAW = java.util.concurrent.ConcurrentHashMap<String, String>()
    }
}

/** The engine in this process. */
internal class EmbeddedWorld private constructor(
    private val case: Case,
    private val standard: JsonElement,
    room: Path,
    private val sandbox: Sandbox,
) : World(room) {
    override val origin: String = sandbox.origin
    override val clock: FixedClock? = case.json["clock"]?.let { FixedClock(Instant.parse(content(it))) }
    private val folder: Path? = if (case.verbs().any { it == "restart" || it == "search_store" }) Files.createTempDirectory("smalt") else null
    private val connectors =
        case.steps
            .filter { content(it["do"]) == "register_connector" }
            .map { content(it.getValue("args").jsonObject["application"]) }
            .toSortedSet()
            .associateWith { slug -> Scripted(slug) { smalt } }
    private val runner = if ("register_runner" in case.verbs()) ScriptedRunner() else null
    override val presenter = ScriptedPresenter.of(case)
    private val key = Smalt.makeKey()

    override lateinit var smalt: Smalt

    private suspend fun start() {
        val patched = merge(standard, fill(case.json["project"] ?: nothing(), given))
        val own = merge(patched, jsonOf(mapOf("sandbox" to mapOf("url" to origin))))
        smalt =
            Smalt.embedded(folder?.resolve("smalt.db")?.toString()) {
                projectJson = own
                environment = case.json["environment"]?.let { Environment.of(content(it)) } ?: Environment.TEST
                key = this@EmbeddedWorld.key
                case.json["manifests"]?.jsonArray?.forEach { manifests += AppManifest(fill(it, given).jsonObject) }
                connectors += this@EmbeddedWorld.connectors.values
                runner = this@EmbeddedWorld.runner
                presenter = this@EmbeddedWorld.presenter
                deliverWebhooks = "create_webhook" in case.verbs()
                timings = TIMINGS
                clock = this@EmbeddedWorld.clock
            }
    }

    override suspend fun end() {
        if (this::smalt.isInitialized) smalt.shutdown()
        sandbox.close()
        clock?.close()
        folder?.toFile()?.deleteRecursively()
    }

    override suspend fun host(
        verb: String,
        args: Args,
    ): JsonElement {
        when (verb) {
            "advance" -> (clock ?: throw Mistake("`advance` needs a `clock`")).advance(content(args["seconds"]).toDouble().seconds)
            "restart" -> {
                smalt.shutdown()
                start()
            }
            "register_connector" -> {
                val behaviour = content(args["behaviour"])
                if (behaviour !in setOf("ok", "throws", "hangs", "nonsense", "panics", "reenters", "rejects")) throw Mistake("there is no behaviour `$behaviour`")
                connectors.getValue(content(args["application"])).behaviour = behaviour
            }
            "register_runner" -> {
                val behaviour = content(args["behaviour"])
                if (behaviour !in setOf("echo", "throws")) throw Mistake("there is no behaviour `$behaviour`")
                runner!!.behaviour = behaviour
            }
            "search_store" -> return search(args.getValue("secrets").jsonArray.map { content(it) })
        }
        return nothing()
    }

    private fun search(secrets: List<String>): JsonElement {
        val files = folder!!.listDirectoryEntries().map { String(it.readBytes(), Charsets.ISO_8859_1) }
        check(files.any { it.isNotEmpty() }) { "there is nothing to search" }
        val hits = secrets.sumOf { secret -> forms(secret.encodeToByteArray()).sumOf { form -> files.sumOf { count(it, form) } } }
        return jsonOf(mapOf("hits" to hits))
    }

    private fun count(
        text: String,
        part: String,
    ): Int = generateSequence(text.indexOf(part)) { text.indexOf(part, it + 1) }.takeWhile { it >= 0 }.count()

    /** As it is, in hex, and in both alphabets of base64 wherever it may begin in the encoded text. */
    private fun forms(secret: ByteArray): Set<String> {
        check(secret.size >= 6) { "too short a text to search for" }
        val hex = secret.joinToString("") { "%02x".format(it) }
        val found = mutableSetOf(String(secret, Charsets.ISO_8859_1), hex, hex.uppercase())
        for (encoder in listOf(Base64.getEncoder(), Base64.getUrlEncoder())) {
            for (before in 0 until 3) {
                val coded = encoder.encodeToString(ByteArray(before) + secret + ByteArray(2))
                found += coded.substring((before * 8 + 5) / 6, (before + secret.size) * 8 / 6)
            }
        }
        return found
    }

    companion object {
        suspend fun open(
            case: Case,
            standard: JsonElement,
            room: Path,
        ): World {
            val world = EmbeddedWorld(case, standard, room, Sandbox.start())
            try {
                world.start()
            } catch (refused: Throwable) {
                world.end()
                throw refused
            }
            return world
        }
    }
}

/** A server in a process of its own, and the remote backend here: the test binary of the Rust driver plays the server. */
internal class RemoteWorld private constructor(
    room: Path,
    private val process: Process,
    override val presenter: ScriptedPresenter?,
) : World(room) {
    private val lines = process.inputReader()
    private val orders = process.outputWriter()
    private lateinit var key: Secret
    override lateinit var origin: String
    override lateinit var smalt: Smalt

    private suspend fun line(): JsonObject =
        withContext(Dispatchers.IO) {
            while (true) {
                val line = lines.readLine() ?: throw Failed("the server ended")
                if ('@' in line) return@withContext Json.parseToJsonElement(line.substringAfter('@')).jsonObject
            }
            @Suppress("UNREACHABLE_CODE")
            throw Failed("the server ended")
        }

    lateinit var url: String
        private set

    private fun reach(url: String) {
        this.url = url
        smalt =
            Smalt.remote(url, key) {
                proxy = false
                presenter = this@RemoteWorld.presenter
            }
    }

    private suspend fun order(
        verb: String,
        token: Secret?,
        args: Args,
    ): JsonElement {
        val order = JsonObject(mapOf("verb" to JsonPrimitive(verb), "token" to plain(token?.reveal()), "args" to JsonObject(args)))
        withContext(Dispatchers.IO) {
            orders.write("$order\n")
            orders.flush()
        }
        val done = line()
        done["Mistake"]?.let { throw Mistake(content(it)) }
        done["Refused"]?.jsonObject?.let { refused ->
            val code = content(refused["code"])
            throw dev.smalt.failure(SmaltException.CODES.getValue(code), code, content(refused["reason"]))
        }
        val answer = done.getValue("Answer")
        if (verb != "restart") return answer
        smalt.shutdown()
        reach(content(answer.jsonObject["url"]))
        return nothing()
    }

    override suspend fun host(
        verb: String,
        args: Args,
    ): JsonElement = order(verb, null, args)

    override suspend fun elsewhere(
        verb: String,
        token: Secret?,
        args: Args,
        call: suspend () -> JsonElement,
    ): JsonElement {
        if (verb !in EMBEDDED_ONLY) return call()
        try {
            call()
        } catch (refused: SmaltException) {
            if (refused.code != "unsupported" || "embedded" !in refused.reason) throw Failed("expected `unsupported` of a remote backend, got $refused")
            return order(verb, token, args)
        }
        throw Failed("a remote backend offers what the table keeps to embedded engines")
    }

    override suspend fun end() {
        if (this::smalt.isInitialized) smalt.shutdown()
        withContext(Dispatchers.IO) {
            orders.close()
            if (!process.waitFor(30, java.util.concurrent.TimeUnit.SECONDS)) process.destroyForcibly()
        }
    }

    companion object {
        suspend fun open(
            case: Case,
            room: Path,
            server: String,
        ): World {
            val builder = ProcessBuilder(server, "plays_the_server", "--exact", "--nocapture", "--test-threads=1", "--quiet")
            builder.environment()["SMALT_TEST_ROLE"] = case.id
            builder.redirectError(ProcessBuilder.Redirect.INHERIT)
            val world = withContext(Dispatchers.IO) { RemoteWorld(room, builder.start(), ScriptedPresenter.of(case)) }
            try {
                val said = world.line()
                val place = said["Ok"]?.jsonObject ?: throw Mistake("the server: $said")
                world.key = Secret(content(place["key"]))
                world.origin = content(place["sandbox"])
                world.reach(content(place["url"]))
            } catch (refused: Throwable) {
                world.end()
                throw refused
            }
            return world
        }
    }
}

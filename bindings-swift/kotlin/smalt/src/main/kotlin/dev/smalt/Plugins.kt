package dev.smalt

import java.lang.ref.WeakReference
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicLong
import kotlin.coroutines.AbstractCoroutineContextElement
import kotlin.coroutines.CoroutineContext
import kotlin.time.Duration
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.ThreadContextElement
import kotlinx.coroutines.launch
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject

/** Thrown by [Connector.verify]: the application refuses what the user entered; nothing is saved. Anything else is a plugin's fault. */
public class Rejected(
    message: String = "The application refused the credentials.",
) : Exception(message)

/**
 * An application's behaviour: override what its manifest cannot say. What is not overridden is never asked for. Methods run on a pool of
 * threads for code that waits; what one throws becomes a [SmaltException.Plugin] that names the plugin and has the exception as its
 * cause.
 *
 * @property slug The application that it belongs to.
 * @property manifest The application as data, where the connector brings it along.
 */
public abstract class Connector(
    public val slug: String,
    public val manifest: AppManifest? = null,
) {
    public constructor(manifest: AppManifest) : this(manifest.slug, manifest)

    /** Who the context's credential belongs to, or `null`; throws [Rejected] to refuse it. */
    public open suspend fun verify(context: ConnectorContext): Identity? = null

    /** The choices of a field, or `null`. */
    public open suspend fun options(
        context: ConnectorContext,
        request: OptionsRequest,
    ): List<FieldOption>? = null

    /** The columns of a rule, or `null`. */
    public open suspend fun ruleColumns(
        context: ConnectorContext,
        request: RuleRequest,
    ): RuleColumns? = null

    /** Ends a grant at the provider: `true` when it is dead now, `false` where the manifest decides. */
    public open suspend fun revoke(
        context: ConnectorContext,
        request: RevokeRequest,
    ): Boolean = false

    /** The methods that a class between it and this one overrides. */
    internal fun methods(): List<String> {
        val names = mapOf("verify" to "verify", "options" to "options", "ruleColumns" to "rule_columns", "revoke" to "revoke")
        val own = generateSequence<Class<*>>(javaClass) { it.superclass }.takeWhile { it != Connector::class.java }
        val declared = own.flatMap { type -> type.declaredMethods.map { it.name } }.toSet()
        return names.filterKeys { it in declared }.values.toList()
    }
}

/** What a field's choices are asked for with. */
public data class OptionsRequest(
    /** The field's id. */
    public val field: String,
    /** The name that the field gives them. */
    public val source: String,
    /** The workflow, where the field is one of a workflow's. */
    public val workflow: String?,
    /** The value of the field that this one depends on. */
    public val parentValue: JsonElement?,
    /** What the user typed. */
    public val search: String?,
) {
    /** Without what a user chose or typed. */
    override fun toString(): String =
        "OptionsRequest(field=$field, source=$source, workflow=$workflow, parentValue=${discreet(parentValue)}, search=${discreet(search)})"
}

/** What a rule's columns are asked for with. */
public data class RuleRequest(
    /** The field's id. */
    public val field: String,
    /** The workflow, where the field is one of a workflow's. */
    public val workflow: String?,
    /** The left side's value. */
    public val lhs: JsonElement,
) {
    /** Without what a user chose. */
    override fun toString(): String = "RuleRequest(field=$field, workflow=$workflow, lhs=${discreet(lhs)})"
}

/** Which grant is to be ended. */
public data class RevokeRequest(
    /** The connection that it was. */
    public val connectionId: String,
    /** 1 at the first try. */
    public val attempt: Int,
)

/** What a connector is given: the credential, and an authenticated way to the application. */
public class ConnectorContext internal constructor(
    private val number: Long,
    private val engine: () -> Handle?,
    its: JsonObject,
) {
    /** The linked account. */
    public val accountId: String = need(its, "account_id") { textOf(it) }

    /** The application's slug. */
    public val application: String = need(its, "application") { textOf(it) }

    /** The credential; `null` while the application is not connected. */
    public val credential: Credential? = maybe(its, "credential") { credentialOf(it) }

    /** An authenticated call to the application; takes what [Account.request] takes. */
    public suspend fun request(
        method: String,
        path: String,
        query: Map<String, String> = emptyMap(),
        headers: Map<String, String> = emptyMap(),
        body: Body? = null,
        timeout: Duration? = null,
        maxBody: Long? = null,
    ): ApiAnswer {
        val engine = engine() ?: throw failure("plugin", "plugin_failed", "The engine that this context belongs to is not open.")
        val request = apiRequest("", application, method, path, query, headers, body, null, timeout, maxBody)
        return apiAnswerOf(engine.operation("context", JsonObject(request), number))
    }
}

/** Opens the authorize page for the user. */
public interface Presenter {
    /** For errors. */
    public val name: String get() = "kotlin"

    /** The redirect URI that this presenter catches; `null` lets Smalt listen on the loopback address. */
    public val redirectUri: String? get() = null

    /**
     * Shows a page; the callback URL where the presenter catches it itself, else `null`. For a user who closes it
     * [SmaltException.Flow.userCancelled] is thrown, and not a cancelled coroutine; for a window that something blocks
     * [SmaltException.Flow.windowBlocked]. It may answer as soon as the page is open, or keep it open: it is cancelled when the flow has
     * ended or the caller's time is over.
     */
    public suspend fun present(page: AuthorizePage): String?
}

/** What a presenter shows. */
public class AuthorizePage(
    /** The page's address. It stands for the flow: keep it out of logs. */
    public val authorizeUrl: String,
    /** Where the provider leads back to. */
    public val redirectUri: String,
    /** The application's name, for people. */
    public val application: String,
    /** What the user of the device flow (RFC 8628) must be shown; absent in others. */
    public val device: DeviceCode? = null,
)

/** What the user of the device flow must be shown. */
public class DeviceCode(
    /** What the user enters. */
    public val userCode: String,
    /** Where, on any device. */
    public val verificationUri: String,
    /** The same with the code in it. */
    public val verificationUriComplete: String?,
)

/** Master keys, e.g. of a key management service. [Rejected] from [unwrap] says that the key does not open it. */
public interface KeyProvider {
    /** The id of the master key that wraps now. */
    public suspend fun keyId(): String

    /** Seals a data key. */
    public suspend fun wrap(
        dataKey: ByteArray,
        aad: ByteArray,
    ): ByteArray

    /** Opens a data key. */
    public suspend fun unwrap(
        keyId: String,
        wrapped: ByteArray,
        aad: ByteArray,
    ): ByteArray
}

/** Runs the organisation's workflows. */
public fun interface WorkflowRunner {
    /** Runs one; the answer goes back to the caller of `runWorkflow`. */
    public suspend fun run(run: WorkflowRun): JsonElement
}

/** A run of a workflow. */
public class WorkflowRun internal constructor(
    /** The linked account. */
    public val accountId: String,
    /** The application's slug. */
    public val application: String,
    /** The config's id. */
    public val configId: String,
    /** The workflow's id. */
    public val workflow: String,
    /** The config's values. */
    public val fields: Map<String, JsonElement>,
    /** The workflow's values. */
    public val workflowFields: Map<String, JsonElement>,
    /** What the caller gave. */
    public val payload: JsonElement,
)

/** Fetches a session token from the user's own backend: before the first call, and whenever the last one has ended. */
public fun interface TokenProvider {
    /** A token that is good now; another one than the last. */
    public suspend fun token(): Secret
}

/** The call into a plugin from inside which code runs, in whatever thread. */
internal class Within(
    val number: Long,
) : AbstractCoroutineContextElement(Within),
    ThreadContextElement<Long?> {
    companion object : CoroutineContext.Key<Within> {
        private val own = ThreadLocal<Long?>()

        /** Of this thread. */
        val here: Long? get() = own.get()
    }

    override fun updateThreadContext(context: CoroutineContext): Long? = own.get().also { own.set(number) }

    override fun restoreThreadContext(
        context: CoroutineContext,
        oldState: Long?,
    ) {
        if (oldState == null) own.remove() else own.set(oldState)
    }
}

/** The plugins of one engine. */
internal class Home(
    val connectors: Map<String, Connector> = emptyMap(),
    val presenter: Presenter? = null,
    val keys: KeyProvider? = null,
    val runner: WorkflowRunner? = null,
    val tokens: TokenProvider? = null,
) {
    /** Registered when the native half is told of it: what fails before leaves nothing. */
    val number: Long by lazy { Homes.put(this) }

    /** The engine, as soon as it is open. */
    @Volatile
    var engine: WeakReference<Engine>? = null

    /** What the native half is told of them. */
    fun described(clock: Long?): JsonObject =
        obj {
            put("home", json(number))
            put(
                "connectors",
                array(connectors.values.toList()) { connector ->
                    obj {
                        put("slug", json(connector.slug))
                        put("manifest", connector.manifest?.data ?: JsonNull)
                        put("methods", array(connector.methods()) { json(it) })
                    }
                },
            )
            putSome("presenter", presenter) { presenter ->
                obj {
                    put("name", json(presenter.name))
                    put("redirect_uri", orNull(presenter.redirectUri) { json(it) })
                }
            }
            put("keys", json(keys != null))
            put("runner", json(runner != null))
            put("tokens", json(tokens != null))
            putSome("clock", clock) { json(it) }
        }

    private fun connector(plugin: String): Connector = connectors.getValue(plugin)

    /** What a plugin answers. */
    suspend fun asked(
        number: Long,
        ask: JsonObject,
    ): JsonElement {
        val plugin = need(ask, "plugin") { textOf(it) }
        val its = need(ask, "arguments") { objectOf(it) }

        fun text(name: String) = need(its, name) { textOf(it) }

        fun bytes(name: String) = need(its, name) { bytesOf(it) }

        fun context() = ConnectorContext(number, { engine?.get()?.let { Handle(it) } }, need(ask, "context") { objectOf(it) })

        return when (need(ask, "what") { textOf(it) }) {
            "verify" -> orNull(connector(plugin).verify(context())) { it.json() }
            "options" -> {
                val request =
                    OptionsRequest(
                        text("field"),
                        text("source"),
                        maybe(its, "workflow") { textOf(it) },
                        maybe(its, "parent_value") { it },
                        maybe(its, "search") { textOf(it) },
                    )
                orNull(connector(plugin).options(context(), request)) { options -> array(options) { it.json() } }
            }
            "rule_columns" -> {
                val request = RuleRequest(text("field"), maybe(its, "workflow") { textOf(it) }, need(its, "lhs") { it })
                orNull(connector(plugin).ruleColumns(context(), request)) { it.json() }
            }
            "revoke" -> {
                val request = RevokeRequest(text("connection_id"), need(its, "attempt") { intOf(it) })
                json(connector(plugin).revoke(context(), request))
            }
            "present" -> {
                val device =
                    maybe(its, "device") { device ->
                        val code = objectOf(device)
                        DeviceCode(
                            need(code, "user_code") { textOf(it) },
                            need(code, "verification_uri") { textOf(it) },
                            maybe(code, "verification_uri_complete") { textOf(it) },
                        )
                    }
                val page = AuthorizePage(text("authorize_url"), text("redirect_uri"), text("application"), device)
                orNull(presenter!!.present(page)) { json(it) }
            }
            "key_id" -> json(keys!!.keyId())
            "wrap" -> json(keys!!.wrap(bytes("data_key"), bytes("aad")))
            "unwrap" -> json(keys!!.unwrap(text("key_id"), bytes("wrapped"), bytes("aad")))
            "run" -> {
                val run =
                    WorkflowRun(
                        text("account_id"),
                        text("application"),
                        text("config_id"),
                        text("workflow"),
                        need(its, "fields") { objectOf(it) },
                        need(its, "workflow_fields") { objectOf(it) },
                        need(its, "payload") { it },
                    )
                runner!!.run(run)
            }
            "session_token" -> json(tokens!!.token())
            else -> throw IllegalStateException("this version of the package does not know what it is asked for")
        }
    }
}

/** Calls into plugins: where they run, and what becomes of what they answer. */
internal object Homes {
    /** A pool of its own: plugins that block hold up each other, and nobody else. */
    private val scope = CoroutineScope(SupervisorJob() + Dispatchers.IO.limitedParallelism(64, "smalt-plugins"))
    private val numbers = AtomicLong()
    private val homes = ConcurrentHashMap<Long, Home>()
    private val running = ConcurrentHashMap<Long, Job>()

    /** How many engines have plugins. */
    val open: Int get() = homes.size

    /** How many calls are under way. */
    val busy: Int get() = running.size

    fun put(home: Home): Long = numbers.incrementAndGet().also { homes[it] = home }

    /** Its engine was closed. */
    fun remove(home: Home) {
        homes.remove(home.number)
    }

    fun ask(
        home: Long,
        number: Long,
        json: ByteArray,
    ) {
        val job =
            scope.launch(Within(number), CoroutineStart.LAZY) {
                val answer = answer(home, number, json)
                running.remove(number)
                native.hostAnswer(Port.number, number, answer)
            }
        running[number] = job
        // One that is cancelled before it begins answers, too: each call is answered once.
        job.invokeOnCompletion { ended ->
            if (running.remove(number) != null || ended is CancellationException) {
                native.hostAnswer(Port.number, number, failed("it was cancelled", null))
            }
        }
        job.start()
    }

    fun forget(number: Long) {
        running.remove(number)?.cancel()
    }

    private suspend fun answer(
        home: Long,
        number: Long,
        json: ByteArray,
    ): ByteArray =
        try {
            val plugins = homes[home] ?: throw IllegalStateException("the engine that has this plugin was closed")
            val value = plugins.asked(number, objectOf(parsed(json)))
            """{"end":"value"}""".encodeToByteArray() + value.bytes()
        } catch (rejected: Rejected) {
            end("rejected") { put("message", json(rejected.message ?: "The application refused the credentials.")) }
        } catch (passing: SmaltException) {
            end("error") { put("error", passing.json()) }
        } catch (cancelled: CancellationException) {
            // Nobody waits any more; or the plugin's own doing, which is a fault.
            failed("it was cancelled", null)
        } catch (fault: Throwable) {
            val trace = fault.stackTraceToString()
            Causes.keep(trace, fault)
            val message = fault.message ?: fault::class.java.simpleName
            if (fault is Exception) failed(message, trace) else failed(message, trace, "panicked")
        }

    private fun failed(
        message: String,
        trace: String?,
        how: String = "failed",
    ): ByteArray =
        end(how) {
            put("message", json(message))
            putSome("trace", trace) { json(it) }
        }

    private inline fun end(
        how: String,
        put: Entries.() -> Unit,
    ): ByteArray =
        obj {
            put("end", json(how))
            put()
        }.bytes()
}

package dev.smalt.conformance

import dev.smalt.AuthorizePage
import dev.smalt.Connector
import dev.smalt.ConnectorContext
import dev.smalt.FieldOption
import dev.smalt.Identity
import dev.smalt.OptionsRequest
import dev.smalt.Presenter
import dev.smalt.Rejected
import dev.smalt.Smalt
import dev.smalt.SmaltException
import dev.smalt.WorkflowRun
import dev.smalt.WorkflowRunner
import dev.smalt.failure
import dev.smalt.testing.Sandbox
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.channels.Channel
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

/** What comes closest to a panic. */
internal class HostPanic : Error("panics on purpose")

private suspend fun behave(behaviour: String?) {
    when (behaviour) {
        "throws" -> throw IllegalStateException("broken on purpose")
        "rejects" -> throw Rejected("refused on purpose")
        "panics" -> throw HostPanic()
        "hangs" -> awaitCancellation()
    }
}

/** A connector whose behaviour a case chooses. */
internal class Scripted(
    slug: String,
    private val smalt: () -> Smalt,
) : Connector(slug) {
    @Volatile
    var behaviour: String? = null

    override suspend fun verify(context: ConnectorContext): Identity? {
        val behaviour = behaviour ?: return null
        behave(behaviour)
        if (behaviour == "reenters") smalt().account(context.accountId).credential(context.application)
        return Identity(id = if (behaviour == "nonsense") "" else "plugin-1", label = "Plugin")
    }

    override suspend fun options(
        context: ConnectorContext,
        request: OptionsRequest,
    ): List<FieldOption>? {
        val behaviour = behaviour ?: return null
        behave(behaviour)
        if (behaviour == "reenters") smalt().account(context.accountId).config(context.application)
        val names = listOf("one", "two") + (2 until if (behaviour == "nonsense") 10_001 else 2).map { it.toString() }
        return names.map { FieldOption(JsonPrimitive(it)) }
    }
}

/** A presenter whose behaviour a step chooses. It catches the callback itself, so that the page is the provider's on both backends. */
internal class ScriptedPresenter : Presenter {
    @Volatile
    var behaviour: String? = null

    /** Told when it waits. */
    val shown = Channel<Unit>(Channel.CONFLATED)

    override val name: String get() = "scripted"
    override val redirectUri: String get() = "http://127.0.0.1/callback"

    override suspend fun present(page: AuthorizePage): String {
        when (behaviour) {
            "closes" -> throw SmaltException.Flow.userCancelled()
            "blocked" -> throw SmaltException.Flow.windowBlocked()
        }
        if (behaviour == "waits") {
            shown.send(Unit)
            awaitCancellation()
        }
        behave(behaviour)
        return Sandbox.visit(page.authorizeUrl, mapOf("sandbox_user" to "ada", "sandbox_decision" to "allow"))
    }

    companion object {
        val KNOWN = setOf("consents", "closes", "blocked", "throws", "waits")

        /** The presenter of a case whose `connect` names one. */
        fun of(case: Case): ScriptedPresenter? {
            val connects = case.steps.filter { it["do"] == JsonPrimitive("connect") }
            return if (connects.any { "presenter" in (it["args"] as JsonObject) }) ScriptedPresenter() else null
        }
    }
}

/** A runner that echoes, or whose behaviour a case chooses. */
internal class ScriptedRunner : WorkflowRunner {
    @Volatile
    var behaviour: String? = null

    override suspend fun run(run: WorkflowRun): JsonElement {
        behave(behaviour)
        return JsonObject(
            mapOf(
                "account_id" to JsonPrimitive(run.accountId),
                "application" to JsonPrimitive(run.application),
                "config_id" to JsonPrimitive(run.configId),
                "workflow" to JsonPrimitive(run.workflow),
                "fields" to JsonObject(run.fields),
                "workflow_fields" to JsonObject(run.workflowFields),
                "payload" to run.payload,
            ),
        )
    }
}

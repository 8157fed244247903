package example

import dev.smalt.Label
import dev.smalt.Labels
import dev.smalt.Smalt
import dev.smalt.SmaltException
import dev.smalt.WorkflowUpdate
import dev.smalt.json
import dev.smalt.jsonOf
import kotlin.time.Duration.Companion.seconds
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject

/** Acme CRM, a small product: its customers connect an application, choose what runs, and get their contacts from it. */
class AcmeCrm(
    private val smalt: Smalt,
) {
    /** What the page of integrations lists. */
    suspend fun integrations(customer: String): List<String> {
        val account = smalt.account(customer)
        account.ensure()
        return account.listApps().map { "${it.slug}: ${it.status.text}" }
    }

    /** Returns once the user has consented: as whom. */
    suspend fun connect(
        customer: String,
        application: String,
    ): String? = smalt.account(customer).connect(application).identity?.label

    /** The user picks a channel out of those that the application has, maps a contact's data, and switches the digest on. */
    suspend fun configure(
        customer: String,
        application: String,
        hour: Any,
    ): String {
        val account = smalt.account(customer)
        val labels = listOf("Name", "Mail").map { Label(jsonOf(it)) }
        val config = account.config(application, labels = Labels.ByObject(mapOf("Contact" to labels)))
        val channel = config.fields.first { it.id == "channel" }.options?.first()?.value
        return try {
            val saved =
                account.updateConfig(
                    application,
                    version = config.version,
                    fields = mapOf("channel" to jsonOf(channel), "contact" to jsonOf(mapOf("Name" to "full_name", "Mail" to "email"))),
                    workflows = mapOf("digest" to WorkflowUpdate(enabled = true, fields = mapOf("hour" to jsonOf(hour)))),
                )
            "version ${saved.version}, digest ${if (saved.workflows.first().enabled) "on" else "off"}"
        } catch (refused: SmaltException) {
            "${refused.code} at ${refused.context.keys.joinToString()}"
        }
    }

    /** With a token that is valid now; renewed, if need be, once for all who ask. */
    suspend fun contacts(
        customer: String,
        application: String,
    ): Int {
        val answer = smalt.account(customer).request(application, "GET", "items")
        return answer.json().jsonObject.getValue("items").jsonArray.size
    }

    /** The grant is revoked at the provider, and everything that was set is deleted. */
    suspend fun leave(
        customer: String,
        application: String,
    ): String {
        val receipt = smalt.account(customer).disconnect(application, wait = 10.seconds)
        return "${receipt.revocation.text}, ${receipt.deletedConfigs.size} settings deleted"
    }
}

/** Writes what the customer sees, line by line. */
suspend fun acmeCrm(
    project: String,
    say: (String) -> Unit,
) {
    // A test's engine; a product opens `Smalt.embedded("acme.db") { projectFile = project }`.
    Smalt.sandbox { projectFile = project }.use { smalt ->
        val crm = AcmeCrm(smalt)
        crm.integrations("customer-42").forEach(say)
        say("connected as ${crm.connect("customer-42", "sandbox-oauth")}")
        say("a wrong hour: ${crm.configure("customer-42", "sandbox-oauth", "at nine")}")
        say("settings: ${crm.configure("customer-42", "sandbox-oauth", 9)}")
        say("contacts: ${crm.contacts("customer-42", "sandbox-oauth")}")
        say("disconnected: ${crm.leave("customer-42", "sandbox-oauth")}")
        crm.integrations("customer-42").forEach(say)
    }
}

package dev.smalt

import java.util.Base64
import kotlin.reflect.full.memberProperties
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertNotEquals
import kotlin.test.assertTrue
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Timeout

/** What stands wherever a secret could in bindings-swift/shown.json, as text and as bytes. */
private val CANARIES = listOf("canary-4711", Base64.getEncoder().encodeToString("canary-4711".encodeToByteArray()))

/** Values that nobody should pass, and secrets that nobody should see. */
@Timeout(180)
internal class HostileTest {
    @Test
    fun `strange texts are refused or kept, and never break anything`() =
        running {
            sandboxed { smalt ->
                val strange =
                    listOf("", " ", "a/b", "../x", "\u0000", "a\u0000b", "\"\\\n\r\t", "{\"op\":\"close\"}", "é😀", "\ud800", "\u202eabc", "x".repeat(1_000_000))
                for (id in strange) {
                    try {
                        val made = smalt.createAccount(id)
                        assertEquals(id.takeIf { '\ud800' !in it } ?: "?", made.id)
                        smalt.account(made.id).delete()
                    } catch (refused: SmaltException) {
                        assertTrue(refused is SmaltException.Invalid, "$refused")
                    }
                }
                smalt.account("fine").ensure()
                val name = "\"é😀\\ \n \u2028"
                assertEquals(name, smalt.upsertAccount("fine", name = name).account.name)
            }
        }

    @Test
    fun `strange numbers and deep values are refused in words`() =
        running {
            sandboxed { smalt ->
                val account = smalt.account("a")
                account.ensure()
                account.connect("sandbox-oauth")
                account.config("sandbox-oauth")
                var deep: JsonElement = JsonPrimitive(1)
                repeat(300) { deep = JsonArray(listOf(deep)) }
                for (value in listOf(deep, JsonPrimitive(Double.NaN), JsonPrimitive(Double.POSITIVE_INFINITY))) {
                    thrown<SmaltException.Invalid> { account.updateConfig("sandbox-oauth", fields = mapOf("greeting" to value)) }
                }
                thrown<SmaltException.Invalid> { smalt.listAccounts(limit = -1) }
                thrown<SmaltException.Invalid> { smalt.handle.operation("list_accounts", obj { put("limit", json(Long.MAX_VALUE)) }) }
                thrown<SmaltException.Unsupported> { smalt.handle.operation("no_such", obj {}) }
                account.config("sandbox-oauth")
            }
        }

    @Test
    fun `s41 secrets do not show themselves`() =
        running {
            val text = "sk-very-secret-4711"
            val secret = Secret(text)
            assertFalse(text in "$secret" || text in secret.toString())
            assertEquals(secret, Secret(text))
            assertNotEquals(secret, Secret("other"))
            sandboxed { smalt ->
                val account = smalt.account("a")
                account.ensure()
                val refused =
                    thrown<SmaltException> {
                        account.connect("sandbox-key", inputs = mapOf("key" to secret, "workspace" to Secret("acme")))
                    }
                assertFalse(reveals(refused, text))
                val started = account.startConnect("sandbox-oauth", redirectUri = "http://127.0.0.1:9/callback")
                assertFalse(started.cookie.value.reveal() in "$started")
                assertFalse(started.authorizeUrl in "$started")
                account.connect("sandbox-oauth")
                val credential = account.credential("sandbox-oauth")
                assertFalse(credential.accessToken!!.reveal() in "$credential")
                assertTrue(credential.authorization().reveal().startsWith("Bearer "))
                assertFalse(credential.accessToken.reveal() in "${credential.authorization()}")
                val session = account.session()
                assertFalse(session.token.reveal() in "$session ${session.info()}")
                val answer = account.request("sandbox-oauth", "GET", "items")
                assertTrue(answer.ok)
                assertFalse(answer.text in "$answer")
            }
        }

    @Test
    fun `s41 no type that holds a secret shows it`() {
        val samples = Json.parseToJsonElement(REPOSITORY.resolve("bindings-swift/shown.json").toFile().readText()).jsonObject
        assertTrue(samples.size >= 20)
        assertEquals(HOLDERS.keys, samples.keys)
        for ((name, sample) in samples) {
            val value = HOLDERS.getValue(name)(sample)
            assertTrue(holds(value), "$name holds nothing")
            for (shown in listOf("$value", "${listOf(value)}", "${mapOf("a" to value)}", "${value to value}")) {
                assertFalse(CANARIES.any { it in shown }, "$name: $shown")
            }
        }
    }

    @Test
    fun `s41 what plugins are asked with hides what the list says, and nothing is shown as such`() {
        val bridge = Json.parseToJsonElement(REPOSITORY.resolve("docs/schema/bridge-1.json").toFile().readText()).jsonObject
        val said = JsonPrimitive(CANARIES[0])
        val asked =
            mapOf(
                "OptionsRequest" to OptionsRequest("field", "source", "workflow", said, CANARIES[0]),
                "RuleRequest" to RuleRequest("field", "workflow", said),
                // These say nothing of themselves.
                "WorkflowRun" to WorkflowRun("account", "app", "config", "workflow", mapOf("a" to said), mapOf("a" to said), said),
                "PresentRequest" to AuthorizePage(CANARIES[0], "redirect", "app", DeviceCode(CANARIES[0], "page", CANARIES[0])),
                "DevicePrompt" to DeviceCode(CANARIES[0], "page", CANARIES[0]),
            )
        for ((name, value) in asked) {
            val shown = "$value ${listOf(value)}"
            assertFalse(CANARIES.any { it in shown }, shown)
            for (member in bridge.getValue("hidden").jsonObject.getValue(name).jsonArray) {
                val own = Regex("_([a-z])").replace(member.jsonPrimitive.content) { it.groupValues[1].uppercase() }
                if (value::class.isData) assertTrue("$own=…" in shown, "$name: $shown")
            }
        }
        assertTrue(asked.getValue("OptionsRequest")::class.isData && asked.getValue("RuleRequest")::class.isData)
        assertEquals("RuleRequest(field=f, workflow=null, lhs=null)", "${RuleRequest("f", null, JsonNull)}")
        assertTrue("parentValue=null, search=null" in "${OptionsRequest("f", "s", null, null, null)}")
        assertTrue("userCode=…" in "${DevicePrompt("c", "page", 5)}" && "verificationUriComplete=null" in "${DevicePrompt("c", "page", 5)}")
    }

    /** Whether what must not be shown is there to be read. */
    private fun holds(value: Any?): Boolean =
        when (value) {
            null -> false
            is Secret -> holds(value.reveal())
            is String, is JsonElement -> CANARIES.any { it in value.toString() }
            is ByteArray -> holds(value.decodeToString())
            is Map<*, *> -> value.values.any { holds(it) }
            is Iterable<*> -> value.any { holds(it) }
            else -> value::class.isData && value::class.memberProperties.any { holds(it.getter.call(value)) }
        }

    @Test
    fun `options that exclude each other are refused before anything is opened`() =
        running {
            val before = Port.open
            val two = thrown<SmaltException.Invalid> { Smalt.embedded { key = Smalt.makeKey(); keyFile = "x" } }
            assertTrue("master key" in two.reason, two.reason)
            thrown<SmaltException.Configuration> { Smalt.embedded { key = Secret("no key") } }
            thrown<SmaltException.Invalid> { Smalt.remote("http://example.com", Secret("tk1")) }
            thrown<SmaltException.Invalid> { Session("ftp://example.com", Secret("t")) }
            assertEquals(before, Port.open)
            assertEquals(0, Homes.open)
        }
}

package dev.smalt

import dev.smalt.testing.Sandbox
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicInteger
import kotlin.experimental.xor
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertIs
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Timeout

/** Code of the host's that the core calls. */
@Timeout(180)
internal class PluginsTest {
    private val digest = Project(version = 1, apps = mapOf("sandbox-oauth" to AppSettings(workflows = listOf(WorkflowDef(id = "digest", name = "Digest")))))

    private class Acme(
        private val verifying: suspend (ConnectorContext) -> Identity?,
    ) : Connector("sandbox-oauth") {
        override suspend fun verify(context: ConnectorContext): Identity? = verifying(context)
    }

    private suspend fun with(
        configure: EmbeddedOptions.() -> Unit,
        test: suspend (Account) -> Unit,
    ) {
        val smalt =
            Smalt.embedded {
                sandbox = true
                throwawayKey = keys == null
                consents = "ada"
                timings = Timings(plugin = 30.seconds)
                configure()
                if (keys != null) throwawayKey = false
            }
        try {
            smalt.account("a").ensure()
            test(smalt.account("a"))
        } finally {
            smalt.shutdown()
        }
        assertEquals(0, Homes.busy)
    }

    private suspend fun verifying(
        verify: suspend (ConnectorContext) -> Identity?,
        test: suspend (Account) -> Unit,
    ) = with({ connectors += Acme(verify) }, test)

    /** Gives up soon. */
    private suspend fun hanging(
        verify: suspend (ConnectorContext) -> Identity?,
        test: suspend (Account) -> Unit,
    ) = with({
        connectors += Acme(verify)
        timings = Timings(plugin = 1.seconds)
    }, test)

    @Test
    fun `a connector answers, with its own way to the application`() =
        running {
            verifying({ context ->
                assertEquals("a", context.accountId)
                assertTrue(context.credential!!.accessToken!!.reveal().isNotEmpty())
                val answer = context.request("GET", "items")
                Identity("from-${answer.status}", context.application)
            }) { account ->
                val connection = account.connect("sandbox-oauth")
                assertEquals(Identity("from-200", "sandbox-oauth"), connection.identity)
            }
        }

    @Test
    fun `what a plugin throws arrives with its own text and as the cause`() =
        running {
            verifying({ throw IllegalStateException("the shelf is empty") }) { account ->
                val error = thrown<SmaltException.Plugin> { account.connect("sandbox-oauth") }
                assertEquals("plugin_failed", error.code)
                assertTrue("the shelf is empty" in error.message!!, error.message)
                assertEquals("connector sandbox-oauth", error.context["plugin"])
                assertEquals("the shelf is empty", assertIs<IllegalStateException>(error.cause).message)
                assertTrue("PluginsTest" in error.trace!!)
                assertEquals("linked_account_not_found", thrown<SmaltException> { Smalt.sandbox().use { it.account("x").get() } }.code)
            }
        }

    @Test
    fun `what is not meant to be caught is a panic of the plugin's`() =
        running {
            verifying({ throw StackOverflowError("deep") }) { account ->
                assertEquals("plugin_panicked", thrown<SmaltException.Plugin> { account.connect("sandbox-oauth") }.code)
            }
        }

    @Test
    fun `one that refuses is the user's matter`() =
        running {
            verifying({ throw Rejected("wrong workspace") }) { account ->
                val error = thrown<SmaltException.Invalid> { account.connect("sandbox-oauth") }
                assertEquals("credentials_rejected", error.code)
                assertTrue("wrong workspace" in error.reason, error.reason)
            }
        }

    @Test
    fun `one that hangs is given up, cancelled, and harms nobody`() =
        running {
            val ended = CompletableDeferred<Throwable>()
            hanging({
                try {
                    awaitCancellation()
                } catch (cancelled: CancellationException) {
                    ended.complete(cancelled)
                    throw cancelled
                }
            }) { account ->
                assertEquals("plugin_timeout", thrown<SmaltException.Plugin> { account.connect("sandbox-oauth") }.code)
                assertIs<CancellationException>(ended.await())
                account.connect("sandbox-key", inputs = mapOf("key" to Secret("sandbox-key-good"), "workspace" to Secret("acme")))
            }
        }

    @Test
    fun `a call that would wait for itself is refused at once, in coroutines and blocking`() =
        running {
            val blocking = AtomicInteger()
            lateinit var own: Account
            verifying({ context ->
                if (blocking.get() == 0) own.credential(context.application) else runBlocking { own.credential(context.application) }
                null
            }) { account ->
                own = account
                assertEquals("reentrant", thrown<SmaltException> { account.connect("sandbox-oauth") }.code)
                blocking.set(1)
                assertEquals("reentrant", thrown<SmaltException> { account.connect("sandbox-oauth") }.code)
            }
        }

    @Test
    fun `an error of Smalt passes through as it is`() =
        running {
            with({
                runner = WorkflowRunner { throw failure("provider", "provider_unreachable", "Nobody is there.", mapOf("host" to "x")) }
                project = digest
            }) { account ->
                account.connect("sandbox-oauth")
                account.config("sandbox-oauth")
                account.updateConfig("sandbox-oauth", workflows = mapOf("digest" to WorkflowUpdate(enabled = true)))
                val error = thrown<SmaltException.Provider> { account.runWorkflow("sandbox-oauth", "digest") }
                assertEquals("provider_unreachable" to "Nobody is there.", error.code to error.reason)
                assertEquals("x", error.context["host"])
            }
        }

    private fun same(
        said: SmaltException,
        arrived: SmaltException,
    ) {
        fun all(error: SmaltException) = listOf(error.code, error.reason, error.retry, error.httpStatus)
        assertEquals(all(said), all(arrived))
    }

    @Test
    fun `a presenter opens the page, and a closed one is no cancelled coroutine`() =
        running {
            val closes = AtomicInteger()
            val own =
                object : Presenter {
                    override val redirectUri = "http://127.0.0.1:9/callback"

                    override suspend fun present(page: AuthorizePage): String? {
                        assertTrue(page.application.isNotEmpty() && page.device == null)
                        if (closes.get() == 1) throw SmaltException.Flow.userCancelled()
                        if (closes.get() == 2) throw SmaltException.Flow.windowBlocked()
                        return Sandbox.visit(page.authorizeUrl, "grace")
                    }
                }
            with({
                consents = null
                presenter = own
                project = Project(version = 1, org = Org(redirectUris = listOf("http://127.0.0.1:9/callback")))
            }) { account ->
                assertTrue("grace" in account.connect("sandbox-oauth").identity!!.label)
                closes.set(1)
                val cancelled = thrown<SmaltException.Flow> { account.connect("sandbox-oauth") }
                same(SmaltException.Flow.userCancelled(), cancelled)
                assertEquals("user_cancelled", cancelled.code)
                closes.set(2)
                val blocked = thrown<SmaltException.Flow> { account.connect("sandbox-oauth") }
                same(SmaltException.Flow.windowBlocked(), blocked)
                assertEquals("window_blocked", blocked.code)
            }
        }

    private class Shifted(
        private val mask: Byte,
    ) : KeyProvider {
        override suspend fun keyId() = "shifted"

        override suspend fun wrap(
            dataKey: ByteArray,
            aad: ByteArray,
        ) = byteArrayOf(mask) + ByteArray(dataKey.size) { dataKey[it] xor mask }

        override suspend fun unwrap(
            keyId: String,
            wrapped: ByteArray,
            aad: ByteArray,
        ): ByteArray {
            if (wrapped[0] != mask) throw Rejected("another mask")
            return ByteArray(wrapped.size - 1) { wrapped[it + 1] xor mask }
        }
    }

    @Test
    fun `master keys come from a key provider`() =
        running {
            val folder = kotlin.io.path.createTempDirectory("smalt")
            val path = folder.resolve("smalt.db").toString()
            Smalt.embedded(path) { keys = Shifted(7) }.use { it.account("kept").ensure() }
            Smalt.embedded(path) { keys = Shifted(7) }.use { assertEquals("kept", it.account("kept").get().id) }
            assertEquals("key_wrong", thrown<SmaltException.Configuration> { Smalt.embedded(path) { keys = Shifted(8) } }.code)
            folder.toFile().deleteRecursively()
            assertEquals(0, Homes.open)
        }

    @Test
    fun `a runner runs workflows`() =
        running {
            with({
                runner = WorkflowRunner { run -> JsonPrimitive("${run.accountId} ${run.workflow} ${run.payload.jsonPrimitive.content}") }
                project = digest
            }) { account ->
                account.connect("sandbox-oauth")
                account.config("sandbox-oauth")
                account.updateConfig("sandbox-oauth", workflows = mapOf("digest" to WorkflowUpdate(enabled = true)))
                assertEquals(JsonPrimitive("a digest 7"), account.runWorkflow("sandbox-oauth", "digest", payload = JsonPrimitive("7")))
            }
        }

    /** Presents by what it is given. */
    private class Presenting(
        private val presenting: suspend (AuthorizePage) -> String?,
    ) : Presenter {
        override val name = "window"

        override suspend fun present(page: AuthorizePage): String? = presenting(page)
    }

    @Test
    fun `a presenter that throws is named, and what it threw is the cause`() =
        running {
            with({
                consents = null
                presenter = Presenting { throw IllegalStateException("no screen") }
            }) { account ->
                val error = thrown<SmaltException.Plugin> { account.connect("sandbox-oauth") }
                assertEquals("plugin_failed" to "presenter window", error.code to error.context["plugin"])
                assertTrue("no screen" in error.reason, error.reason)
                assertEquals("no screen", assertIs<IllegalStateException>(error.cause).message)
                account.connect("sandbox-key", inputs = mapOf("key" to Secret("sandbox-key-good"), "workspace" to Secret("acme")))
            }
        }

    @Test
    fun `a presenter that hangs is cancelled with whoever waits for it, and harms nobody`() =
        running {
            val shown = CompletableDeferred<Unit>()
            val ended = CompletableDeferred<Throwable>()
            with({
                consents = null
                presenter =
                    Presenting {
                        try {
                            shown.complete(Unit)
                            awaitCancellation()
                        } catch (cancelled: CancellationException) {
                            ended.complete(cancelled)
                            throw cancelled
                        }
                    }
            }) { account ->
                coroutineScope {
                    val connect = launch { account.connect("sandbox-oauth") }
                    shown.await()
                    account.connect("sandbox-key", inputs = mapOf("key" to Secret("sandbox-key-good"), "workspace" to Secret("acme")))
                    connect.cancelAndJoin()
                }
                assertIs<CancellationException>(ended.await())
                until { Homes.busy == 0 }
            }
        }

    private class Held(
        private val held: suspend () -> String,
    ) : KeyProvider {
        override suspend fun keyId() = held()

        override suspend fun wrap(
            dataKey: ByteArray,
            aad: ByteArray,
        ) = dataKey

        override suspend fun unwrap(
            keyId: String,
            wrapped: ByteArray,
            aad: ByteArray,
        ) = wrapped
    }

    @Test
    fun `a key provider that throws ends the opening, and what it threw is the cause`() =
        running {
            val error = thrown<SmaltException.Plugin> { Smalt.embedded { keys = Held { throw IllegalStateException("no vault") } } }
            assertEquals("plugin_failed" to "key provider", error.code to error.context["plugin"])
            assertEquals("no vault", assertIs<IllegalStateException>(error.cause).message)
            assertEquals(0, Homes.open)
        }

    @Test
    fun `a key provider that hangs is given up and cancelled, by its deadline or with the opening`() =
        running {
            val ended = CompletableDeferred<Throwable>()
            val asked = CompletableDeferred<Unit>()
            val hanging =
                Held {
                    try {
                        asked.complete(Unit)
                        awaitCancellation()
                    } catch (cancelled: CancellationException) {
                        ended.complete(cancelled)
                        throw cancelled
                    }
                }
            coroutineScope {
                val late = async { thrown<SmaltException.Plugin> { Smalt.embedded { keys = Held { awaitCancellation() } } } }
                val opening = launch { Smalt.embedded { keys = hanging } }
                asked.await()
                opening.cancelAndJoin()
                assertIs<CancellationException>(ended.await())
                assertEquals("plugin_timeout" to "key provider", late.await().let { it.code to it.context["plugin"] })
            }
            until { Homes.busy == 0 }
            assertEquals(0, Homes.open)
        }

    @Test
    fun `one that blocks its thread is given up, and keeps that thread alone`() =
        running {
            val (blocked, let) = CountDownLatch(1) to CountDownLatch(1)
            try {
                hanging({
                    blocked.countDown()
                    // Deaf to being cancelled.
                    while (true) {
                        try {
                            let.await()
                            break
                        } catch (interrupted: InterruptedException) {
                            continue
                        }
                    }
                    null
                }) { account ->
                    assertEquals("plugin_timeout", thrown<SmaltException.Plugin> { account.connect("sandbox-oauth") }.code)
                    assertEquals(0, blocked.count)
                    account.connect("sandbox-key", inputs = mapOf("key" to Secret("sandbox-key-good"), "workspace" to Secret("acme")))
                    let.countDown()
                    until { Homes.busy == 0 }
                }
            } finally {
                let.countDown()
            }
        }
}

package dev.smalt

import java.security.KeyStoreException
import java.util.concurrent.atomic.AtomicInteger
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Timeout

/** A session at a server, whose tokens come from the user's own backend. */
@Timeout(180)
internal class SessionTest {
    @Test
    fun `on Android the device's authorities are trusted, and the engine takes them`() {
        assertEquals(null, Trust.ofDevice("OpenJDK 64-Bit Server VM"))
        val authorities = assertNotNull(Trust.ofDevice("Dalvik"))
        assertTrue(authorities.lines().count { it == "-----END CERTIFICATE-----" } > 50)
        Smalt.remote("https://smalt.example.com", Secret("tk")) { certificateAuthority = authorities }.close()
        val machine = System.getProperty("java.vm.name")
        try {
            // As it is there: without a word of the app's.
            System.setProperty("java.vm.name", "Dalvik")
            val described = SessionOptions().described("https://smalt.example.com", null)
            assertEquals(authorities, described["certificate_authority"]?.jsonPrimitive?.content)
            val own = SessionOptions().apply { certificateAuthority = "own" }.described("https://smalt.example.com", null)
            assertEquals("own", own["certificate_authority"]?.jsonPrimitive?.content)
        } finally {
            System.setProperty("java.vm.name", machine)
        }
    }

    @Test
    fun `what a device can't say is an error in words, and what was not opened leaves no plugin`() =
        running {
            val broken = thrown<SmaltException.Unsupported> { Trust.ofDevice("Dalvik") { throw KeyStoreException("no such store") } }
            assertTrue("certificateAuthority" in broken.reason && broken.cause is KeyStoreException, "$broken")
            assertEquals(null, Trust.ofDevice("OpenJDK 64-Bit Server VM") { throw KeyStoreException("no such store") })
            val before = Homes.open
            val nameless =
                object : Presenter {
                    override val name: String get() = throw IllegalStateException("it has no name")

                    override suspend fun present(page: AuthorizePage): String? = null
                }
            thrown<IllegalStateException> { Session("https://smalt.example.com", Secret("t")) { presenter = nameless } }
            thrown<IllegalStateException> { Session("https://smalt.example.com", { presenter = nameless }) { Secret("t") } }
            thrown<IllegalStateException> { Smalt.remote("https://smalt.example.com", Secret("tk")) { presenter = nameless } }
            assertEquals(before, Homes.open)
        }

    @Test
    fun `tokens are asked for once for all that wait, and again when one has ended`() =
        running {
            served { url, smalt ->
                val account = smalt.account("phone")
                account.ensure()
                val asked = AtomicInteger()
                val session =
                    Session(url, { proxy = false }) {
                        asked.incrementAndGet()
                        account.session(force = true).token
                    }
                session.use {
                    assertEquals(0, asked.get(), "no I/O before the first call")
                    val lists = coroutineScope { List(20) { async { session.listApps().map { it.slug } } }.awaitAll() }
                    assertEquals(1, asked.get())
                    assertTrue(lists.all { "sandbox-oauth" in it })
                    assertTrue(session.revoke())
                    session.listApps()
                    assertEquals(2, asked.get())
                }
                assertEquals("closed", thrown<SmaltException.Unavailable> { session.listApps() }.code)
            }
        }

    @Test
    fun `what the backend throws arrives with its own text`() =
        running {
            served { url, _ ->
                Session(url, { proxy = false }) { throw IllegalStateException("not logged in") }.use { session ->
                    val error = thrown<SmaltException.Plugin> { session.listApps() }
                    assertTrue("not logged in" in error.message!!, error.message)
                    assertEquals("not logged in", error.cause?.message)
                }
                Session(url, Secret("no-token")) { proxy = false }.use { session ->
                    assertEquals("invalid_token", thrown<SmaltException.Unauthenticated> { session.listApps() }.code)
                }
            }
        }
}

package dev.smalt

import java.time.Instant
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertNotEquals
import kotlin.test.assertNotSame
import kotlin.test.assertNull
import kotlin.test.assertSame
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancel
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.supervisorScope
import org.junit.jupiter.api.Timeout

/** Credentials from memory. */
@Timeout(180)
internal class ReadyTest {
    private suspend fun connected(test: suspend (Smalt, Account) -> Unit) =
        sandboxed { smalt ->
            val account = smalt.account("a")
            account.ensure()
            account.connect("sandbox-oauth")
            test(smalt, account)
        }

    @Test
    fun `a ready credential is made once`() =
        running {
            connected { smalt, account ->
                val first = account.credential("sandbox-oauth")
                val ready = account.credential("sandbox-oauth")
                assertEquals(first, ready)
                assertSame(ready, account.credential("sandbox-oauth"))
                assertSame(ready, smalt.account("a").credential("sandbox-oauth"))
                assertNotSame(ready, waited(account))
                assertNull(thrown<SmaltException.Conflict> { account.credential("sandbox-key") }.trace)
                // Java would change what others have, too.
                assertFailsWith<UnsupportedOperationException> { (ready.scopes as MutableList<String>) += "more" }
                assertFailsWith<UnsupportedOperationException> { (ready.properties as MutableMap<String, String>)["more"] = "x" }
                assertFailsWith<UnsupportedOperationException> { (ready.values as MutableMap<String, Secret>).clear() }
            }
        }

    @Test
    fun `what the core has let go of is let go of here`() =
        running {
            connected { smalt, account ->
                val seats = smalt.handle.engine.seats!!
                repeat(2) { account.credential("sandbox-oauth") }
                val before = account.credential("sandbox-oauth")
                assertEquals(1, seats.kept)
                account.disconnect("sandbox-oauth")
                assertEquals("not_connected", thrown<SmaltException.Conflict> { account.credential("sandbox-oauth") }.code)
                assertEquals(0, seats.kept)
                account.connect("sandbox-oauth")
                repeat(2) { assertNotEquals(before, account.credential("sandbox-oauth")) }
                // Nobody asks for it again, but for another one.
                account.connect("sandbox-key", inputs = mapOf("key" to Secret("sandbox-key-good"), "workspace" to Secret("acme")))
                account.disconnect("sandbox-oauth")
                repeat(2) { account.credential("sandbox-key") }
                assertEquals(1, seats.kept)
                smalt.shutdown()
                assertEquals(0, seats.kept)
            }
        }

    @Test
    fun `more seats than there may be begin anew`() =
        running {
            connected { smalt, account ->
                val seats = smalt.handle.engine.seats!!
                repeat(2) { account.credential("sandbox-oauth") }
                val text = """{"op":"credential"}{"account":"a","application":"sandbox-key"}""".encodeToByteArray()
                repeat(Seats.MOST) { seats.take(Seats.Place("somebody", "a-$it", "sandbox-key", null)) { text } }
                assertEquals(0, seats.kept)
                repeat(2) { account.credential("sandbox-oauth") }
                assertEquals(1, seats.kept)
            }
        }

    @Test
    fun `a cancelled coroutine asks no memory either`() =
        running {
            connected { _, account ->
                repeat(2) { account.credential("sandbox-oauth") }
                supervisorScope {
                    val asked =
                        async(start = CoroutineStart.UNDISPATCHED) {
                            cancel()
                            account.credential("sandbox-oauth")
                        }
                    thrown<CancellationException> { asked.await() }
                }
                coroutineScope { async { account.credential("sandbox-oauth") }.await() }
            }
        }

    @Test
    fun `packed credentials are read whole, or refused`() {
        val bytes = REPOSITORY.resolve("bindings-swift/packed.hex").toFile().readText().filterNot { it.isWhitespace() }.hexBytes()
        val full =
            Credential(
                connectionId = "conn_1",
                application = "acme",
                authType = AuthType.OAUTH2,
                scopes = listOf("read", "", "é😀"),
                values = mapOf("key" to Secret("k\u0000\"")),
                properties = mapOf("a" to "1", "b" to ""),
                accessToken = Secret("token"),
                tokenType = null,
                expiresAt = Instant.ofEpochMilli(-1),
            )
        assertEquals(full, Packed.read(bytes) { credential() })
        for (length in bytes.indices) {
            assertEquals("internal", assertFailsWith<SmaltException> { Packed.read(bytes.copyOf(length)) { credential() } }.code)
        }
        assertEquals("internal", assertFailsWith<SmaltException> { Packed.read(bytes + 0) { credential() } }.code)
        for (place in bytes.indices) {
            val wrong = bytes.copyOf().also { it[place] = -1 }
            // Another credential, or an error; never anything else.
            runCatching { Packed.read(wrong) { credential() } }.onFailure { assertEquals("internal", (it as SmaltException).code) }
        }
    }

    private fun String.hexBytes(): ByteArray = chunked(2).map { it.toInt(16).toByte() }.toByteArray()
}

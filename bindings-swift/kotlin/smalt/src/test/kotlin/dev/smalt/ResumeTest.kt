package dev.smalt

import dev.smalt.testing.Sandbox
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import org.junit.jupiter.api.Timeout

/** A connect that is ended by another process than the one that began it. */
@Timeout(180)
internal class ResumeTest {
    private suspend fun began(test: suspend (Smalt, Account, StartedConnect, returned: String) -> Unit) {
        val own = Project(version = 1, org = Org(returnTo = listOf("com.example.app:/connected")))
        val smalt =
            Smalt.embedded {
                project = own
                sandbox = true
                key = Smalt.makeKey()
            }
        try {
            val account = smalt.account("a")
            account.ensure()
            val started = account.startConnect("sandbox-oauth", returnTo = "com.example.app:/connected", redirectUri = "http://127.0.0.1:9/callback")
            // What the server's callback route does with a browser that has no cookie.
            val returned = smalt.parkCallback(Sandbox.visit(started.authorizeUrl)).returnTo!!
            test(smalt, account, started, returned)
        } finally {
            smalt.shutdown()
        }
    }

    @Test
    fun `the return of the user is all that is needed, and may come twice`() =
        running {
            began { smalt, _, started, returned ->
                val session = smalt.account("a").session()
                val connection = session.resumeConnect(started.flowId, returned)
                assertEquals("sandbox-oauth", connection.application)
                assertEquals(connection.id, session.resumeConnect(started.flowId, returned).id)
                assertEquals(connection.id, session.resumeConnect(started.flowId).id)
            }
        }

    @Test
    fun `whoever waits for the flow sees what another one ended`() =
        running {
            began { _, account, started, returned ->
                coroutineScope {
                    val waits = async { account.resumeConnect(started.flowId) }
                    val ended = account.resumeConnect(started.flowId, returned)
                    assertEquals(ended.id, waits.await().id)
                }
            }
        }

    @Test
    fun `a forged return says nothing, and ends nothing`() =
        running {
            began { smalt, account, started, returned ->
                val other = account.startConnect("sandbox-oauth", redirectUri = "http://127.0.0.1:9/callback")
                for (forged in listOf("nonsense", "com.example.app:/connected?flow=${other.flowId}&claim=x", "com.example.app:/connected?flow=${started.flowId}&claim=x")) {
                    assertEquals("claim_invalid", thrown<SmaltException.Flow> { account.resumeConnect(started.flowId, forged) }.code)
                }
                smalt.account("b").ensure()
                assertEquals("flow_not_found", thrown<SmaltException.NotFound> { smalt.account("b").resumeConnect(started.flowId) }.code)
                assertEquals("sandbox-oauth", account.resumeConnect(started.flowId, returned).application)
            }
        }

    @Test
    fun `a flow that was cancelled says so`() =
        running {
            began { _, account, started, _ ->
                account.cancelFlow(started.flowId)
                assertEquals("flow_cancelled", thrown<SmaltException> { account.resumeConnect(started.flowId) }.code)
            }
        }
}

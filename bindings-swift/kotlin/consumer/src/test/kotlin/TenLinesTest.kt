package example

import dev.smalt.Smalt
import dev.smalt.SmaltException
import dev.smalt.WorkflowUpdate
import dev.smalt.ok
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlinx.coroutines.runBlocking

class TenLinesTest {
    @Test
    fun tenLines() = runBlocking<Unit> {
        Smalt.sandbox().use { smalt ->
            val account = smalt.account("customer-42")
            account.ensure()
            val connection = account.connect("sandbox-oauth")
            val config = account.config("sandbox-oauth")
            val credential = account.credential("sandbox-oauth")
            val answer = account.request("sandbox-oauth", "GET", "items")
            val receipt = account.disconnect("sandbox-oauth")
            assertTrue(answer.ok && credential.accessToken != null && config.application == connection.application)
            assertEquals("sandbox-oauth", receipt.application)
            try {
                account.credential("sandbox-oauth")
            } catch (e: SmaltException.Conflict) {
                assertEquals("not_connected", e.code)
            }
            assertEquals(WorkflowUpdate(enabled = true), WorkflowUpdate(true))
        }
    }
}

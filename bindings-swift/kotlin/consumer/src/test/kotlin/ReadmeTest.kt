package example

import kotlin.test.Test
import kotlin.test.assertEquals
import kotlinx.coroutines.runBlocking

class ReadmeTest {
    @Test
    fun itsLinesRun() = runBlocking { assertEquals("revoked", tenLines()) }
}

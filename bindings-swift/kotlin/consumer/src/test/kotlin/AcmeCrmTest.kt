package example

import java.io.File
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlinx.coroutines.runBlocking

class AcmeCrmTest {
    @Test
    fun itSaysWhatItSaysInEveryLanguage() =
        runBlocking {
            val folder = File("../../../examples/acme-crm")
            val said = StringBuilder()
            acmeCrm(File(folder, "smalt.toml").path) { said.appendLine(it) }
            assertEquals(File(folder, "expected.txt").readText(), said.toString())
        }
}

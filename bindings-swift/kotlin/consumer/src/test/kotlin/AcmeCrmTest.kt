package example

import java.nio.file.Path
import kotlin.io.path.readText
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlinx.coroutines.runBlocking

class AcmeCrmTest {
    @Test
    fun itSaysWhatItSaysInEveryLanguage() = runBlocking {
        val example = Path.of("../../../examples/acme-crm")
        val said = StringBuilder()
        acmeCrm(example.resolve("smalt.toml").toString()) { said.append(it).append('\n') }
        assertEquals(example.resolve("expected.txt").readText(), said.toString())
    }
}

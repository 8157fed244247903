package dev.smalt

import com.sun.jna.Platform
import java.io.File
import java.util.concurrent.TimeUnit
import kotlin.system.exitProcess
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertNotNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.DelicateCoroutinesApi
import kotlinx.coroutines.GlobalScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Timeout
import org.junit.jupiter.api.io.TempDir

/** Another machine: what it ends with, and what it said. */
internal fun machine(
    main: Class<*>,
    role: String,
    vararg options: String,
): Pair<Int, String> {
    val java = File(System.getProperty("java.home"), "bin/java").path
    val classes = System.getProperty("surefire.test.class.path") ?: System.getProperty("java.class.path")
    val repository = "-Dsmalt.repository=$REPOSITORY"
    val child = ProcessBuilder(java, *options, repository, "-cp", classes, main.name, role).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    val said = child.inputReader().readText()
    if (!child.waitFor(240, TimeUnit.SECONDS)) throw AssertionError("$role: it does not end").also { child.destroyForcibly() }
    return child.exitValue() to said.trim()
}

/** What only a machine of its own shows: how it ends, and what is changed in it. */
@Timeout(600)
internal class ProcessTest {
    private fun run(
        role: String,
        vararg options: String,
    ): Pair<Int, String> = machine(Child::class.java, role, *options)

    @Test
    fun `a machine exits with calls in flight`() = repeat(size(2, 30)) { assertEquals(7 to "in flight", run("exit")) }

    @Test
    fun `neither pending calls nor open handles keep a machine alive`() = repeat(size(2, 30)) { assertEquals(0 to "in flight", run("return")) }

    @Test
    fun `an exception that nobody catches ends it as any other does`() = assertEquals(1 to "in flight", run("throw"))

    @Test
    fun `the native library is the one that the property names, and one that is not there is named`(
        @TempDir folder: File,
    ) {
        val name = System.mapLibraryName("smalt_ffi")
        val shipped = assertNotNull(javaClass.getResource("/${Platform.RESOURCE_PREFIX}/$name"))
        val own = File(folder, "own-$name")
        shipped.openStream().use { from -> own.outputStream().use { from.copyTo(it) } }
        assertEquals(0 to "from there", run("library", "-Dsmalt.library=${own.path}"))
        assertEquals(0 to "named", run("library", "-Dsmalt.library=${File(folder, "missing-$name").path}"))
    }

    @Test
    fun `nothing is changed in the process`() {
        if (!File("/proc/self/status").exists()) return
        assertEquals(0 to "as it was", run("state"))
    }
}

/** The other machine. */
internal object Child {
    private fun state(): List<Any?> =
        File("/proc/self/status").readLines().filter { it.matches(Regex("Sig(Blk|Ign|Cgt):.*")) } +
            File("/proc/self/limits").readLines() + Thread.getDefaultUncaughtExceptionHandler()

    suspend fun used(): Smalt {
        val smalt = Smalt.sandbox()
        smalt.account("a").ensure()
        smalt.account("a").connect("sandbox-oauth")
        return smalt
    }

    @OptIn(DelicateCoroutinesApi::class)
    @JvmStatic
    fun main(args: Array<String>) {
        if (args[0] == "library") {
            val named = System.getProperty("smalt.library")
            try {
                assertTrue(Smalt.makeKey().reveal().isNotEmpty())
                val maps = File("/proc/self/maps")
                // Elsewhere than on Linux nobody tells.
                println(if (!maps.exists() || maps.readLines().any { it.endsWith(named) }) "from there" else "from elsewhere")
            } catch (refused: LinkageError) {
                println(if (generateSequence<Throwable>(refused) { it.cause }.any { named in it.message.orEmpty() }) "named" else "$refused")
            }
            return
        }
        if (args[0] == "state") {
            val before = state()
            runBlocking {
                val smalt = used()
                smalt.account("a").credential("sandbox-oauth")
                val during = state()
                smalt.shutdown()
                println(if (before == during && during == state()) "as it was" else "$before\n$during\n${state()}")
            }
            return
        }
        runBlocking {
            val smalt = used()
            val last = smalt.eventsPage(limit = 1000).items.last().cursor
            repeat(200) { GlobalScope.launch { smalt.eventsPage(since = last, wait = 600.seconds) } }
            repeat(200) { GlobalScope.launch { smalt.countAccounts() } }
            while (Port.pending < 200) kotlinx.coroutines.delay(5)
        }
        println("in flight")
        System.out.flush()
        when (args[0]) {
            "exit" -> exitProcess(7)
            "throw" -> throw IllegalStateException("on purpose")
        }
    }
}

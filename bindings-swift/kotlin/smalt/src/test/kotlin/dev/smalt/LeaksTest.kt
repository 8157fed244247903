package dev.smalt

import com.sun.jna.Function
import com.sun.jna.Native as Jna
import com.sun.jna.Structure
import java.io.File
import java.lang.management.ManagementFactory
import java.lang.management.MemoryType
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertTrue
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Timeout

/** What calls leave behind does not grow, in a machine of its own. */
@Timeout(7200)
internal class LeaksTest {
    // All of the heap is there from the beginning, so that what grows beside it is the native half's and the machine's own. The second compiler
    // takes and leaves megabytes while it works.
    private fun run(role: String): Pair<Int, String> =
        machine(Looping::class.java, role, "-Xms96m", "-Xmx96m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

    @Test
    fun `s79 calls in a loop leave no memory behind`() {
        if (!File("/proc/self/status").exists()) return
        assertEquals(0 to "settled", run("loop"))
    }

    @Test
    fun `s79 what calls leave behind is seen, native or not`() {
        if (!File("/proc/self/status").exists()) return
        for (role in listOf("native", "heap")) {
            val (status, said) = run(role)
            assertTrue(status == 0 && said.startsWith("it grows on: "), said)
        }
    }
}

/** The other machine. */
internal object Looping {
    /** In one window; the second half of a window counts. */
    private const val ROUNDS = 8

    /** So often each round does each sort. */
    private var times = 250

    /** Of all sorts. */
    private const val CALLS = 9

    /** Bytes that may be left for one call of one sort; what leaks is seldom less. */
    private const val LEFT = 200L

    /** What the C library says of its heap: glibc 2.33 or newer. */
    @Structure.FieldOrder("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    open class MallocInfo : Structure() {
        @JvmField var arena: Long = 0

        @JvmField var ordblks: Long = 0

        @JvmField var smblks: Long = 0

        @JvmField var hblks: Long = 0

        @JvmField var hblkhd: Long = 0

        @JvmField var usmblks: Long = 0

        @JvmField var fsmblks: Long = 0

        @JvmField var uordblks: Long = 0

        @JvmField var fordblks: Long = 0

        @JvmField var keepcost: Long = 0

        class ByValue :
            MallocInfo(),
            Structure.ByValue
    }

    private val mallinfo =
        try {
            Function.getFunction("c", "mallinfo2")
        } catch (absent: LinkageError) {
            null
        }

    /** Bytes: of the heap that are in use, of the C library's that are, of the process's own memory, wherever the system has it. */
    private data class Sizes(
        val heap: Long,
        val native: Long,
        val memory: Long,
    ) {
        /** Whether it stays as it is; `earlier` is half a window ago. */
        fun settled(earlier: Sizes): Boolean {
            val left = LEFT * times * ROUNDS / 2
            return heap - earlier.heap < left && native - earlier.native < left && memory - earlier.memory < earlier.memory / 50
        }
    }

    /** The least of some: what is taken for a moment only is not counted. */
    private fun least(sizes: List<Sizes>) = Sizes(sizes.minOf { it.heap }, sizes.minOf { it.native }, sizes.minOf { it.memory })

    private fun sizes(): Sizes {
        // What cleaners let go of, too.
        repeat(3) {
            System.gc()
            Thread.sleep(20)
        }
        val native = (mallinfo?.invoke(MallocInfo.ByValue::class.java, emptyArray()) as MallocInfo?)?.let { it.uordblks + it.hblkhd } ?: 0
        val own = File("/proc/self/status").readLines().filter { it.startsWith("RssAnon:") || it.startsWith("VmSwap:") }
        val memory = own.sumOf { line -> line.filter { it.isDigit() }.toLong() } * 1024
        // After the last collection: what threads have taken ahead since counts as used, too.
        val pools = ManagementFactory.getMemoryPoolMXBeans().filter { it.type == MemoryType.HEAP }
        return Sizes(pools.sumOf { it.collectionUsage?.used ?: 0L }, native, memory)
    }

    private val kept = ArrayList<ByteArray>()

    /** Calls of each sort: from memory, waited for, refused, cancelled; and what is left behind on purpose. */
    private suspend fun round(
        smalt: Smalt,
        role: String,
    ) {
        val account = smalt.account("a")
        repeat(times) {
            repeat(5) { account.credential("sandbox-oauth") }
            waited(account)
            account.get()
            thrown<SmaltException.NotFound> { smalt.account("nobody").get() }
            coroutineScope { launch(start = CoroutineStart.UNDISPATCHED) { smalt.countAccounts() }.cancel() }
            when (role) {
                "native" -> repeat(CALLS) { Jna.malloc(300) }
                "heap" -> repeat(CALLS) { kept.add(ByteArray(300)) }
            }
        }
    }

    @JvmStatic
    fun main(args: Array<String>) {
        val role = args[0]
        if (role == "loop") times = size(250, 3_200)
        runBlocking {
            val smalt = Child.used()
            val sizes = ArrayList<Sizes>()
            // Classes are loaded and code is compiled, for which megabytes are taken and left again.
            repeat(ROUNDS) { round(smalt, "loop") }
            // What leaks does so in every window; what settles late, on a busy machine, is still in a later one.
            val windows = if (role == "loop") 6 else 2
            val settled =
                (0 until windows).any { window ->
                    repeat(if (window == 0) ROUNDS else ROUNDS / 2) {
                        round(smalt, role)
                        sizes.add(sizes())
                    }
                    val (earlier, later) = sizes.takeLast(ROUNDS).chunked(ROUNDS / 2).map { least(it) }
                    later.settled(earlier)
                }
            println(if (settled) "settled" else "it grows on: $sizes")
            if (System.getenv("SMALT_SHOW") != null) System.err.println(sizes)
            smalt.shutdown()
        }
    }
}

package dev.smalt

import dev.smalt.conformance.Case
import dev.smalt.conformance.RemoteWorld
import java.nio.file.Path
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.delay
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout

internal val REPOSITORY: Path = Path.of(System.getProperty("smalt.repository")).toRealPath()

/** In real time: the core's clock is not that of `runTest`. */
internal fun running(test: suspend () -> Unit): Unit = runBlocking { withTimeout(120.seconds) { test() } }

/** Waits until it holds; the test's own time ends it. */
internal suspend fun until(holds: () -> Boolean) {
    while (!holds()) delay(5.milliseconds)
}

internal suspend fun sandboxed(test: suspend (Smalt) -> Unit) {
    val smalt = Smalt.sandbox()
    try {
        test(smalt)
    } finally {
        smalt.shutdown()
    }
}

/** A credential by a call, whatever is in memory. */
internal suspend fun waited(account: Account): Credential {
    val request =
        obj {
            put("account", json(account.accountId))
            put("application", json("sandbox-oauth"))
        }
    return account.handle.waited("credential", request)
}

internal suspend inline fun <reified E : Throwable> thrown(crossinline call: suspend () -> Unit): E {
    try {
        call()
    } catch (raised: Throwable) {
        return raised as? E ?: throw AssertionError("expected ${E::class.simpleName}, got $raised", raised)
    }
    throw AssertionError("expected ${E::class.simpleName}, but it went well")
}

/** A server in a process of its own, and the organisation's handle on it. */
internal suspend fun served(test: suspend (url: String, Smalt) -> Unit) {
    val server = checkNotNull(System.getenv("SMALT_CONFORMANCE_SERVER")) { "kotlin.sh names the Rust driver's test binary" }
    val room = REPOSITORY.resolve("tests/conformance")
    val world = RemoteWorld.open(Case.read(room.resolve("cases/application-list.json")), room, server) as RemoteWorld
    try {
        test(world.url, world.smalt)
    } finally {
        world.end()
    }
}

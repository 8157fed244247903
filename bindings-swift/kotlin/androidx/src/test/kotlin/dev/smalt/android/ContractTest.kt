package dev.smalt.android

import android.app.Activity
import android.content.Intent
import android.os.Bundle
import androidx.activity.result.ActivityResultRegistry
import androidx.activity.result.contract.ActivityResultContract
import androidx.core.app.ActivityOptionsCompat
import dev.smalt.Secret
import dev.smalt.StartedConnect
import dev.smalt.StateCookie
import java.time.Instant
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertNull
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.annotation.Config

@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], manifest = Config.NONE)
internal class ContractTest {
    private class Registry : ActivityResultRegistry() {
        var asked: Pair<Int, Intent>? = null

        override fun <I, O> onLaunch(
            requestCode: Int,
            contract: ActivityResultContract<I, O>,
            input: I,
            options: ActivityOptionsCompat?,
        ) {
            asked = requestCode to contract.createIntent(RuntimeEnvironment.getApplication(), input)
        }
    }

    private val started =
        StartedConnect(
            flowId = "0123456789abcdef01234567",
            authorizeUrl = "https://provider.example/authorize",
            redirectUri = "https://smalt.example/callback",
            cookie = StateCookie(name = "c", value = Secret("s"), maxAge = 600),
            expiresAt = Instant.EPOCH,
        )

    @Test
    fun `the result comes to the app that was made again`() {
        val first = Registry()
        var lost: ConnectReturn? = null
        first.register("connect", ConnectContract()) { lost = it }.launch(started)
        val (code, intent) = checkNotNull(first.asked)
        assertEquals(ConnectActivity::class.java.name, intent.component?.className)
        val kept = Bundle().also { first.onSaveInstanceState(it) }

        // The process ends, and the user comes back to another one.
        val second = Registry()
        second.onRestoreInstanceState(kept)
        second.dispatchResult(code, Activity.RESULT_OK, Intent().putExtra("dev.smalt.flow", started.flowId))
        var came: ConnectReturn? = null
        second.register("connect", ConnectContract()) { came = it }
        assertEquals(ConnectReturn.Redirected(started.flowId), came)
        assertNull(lost)
    }

    @Test
    fun `a page that the system took away says nothing`() {
        assertNull(ConnectContract().parseResult(Activity.RESULT_CANCELED, null))
        assertEquals(
            ConnectReturn.Left(started.flowId),
            ConnectContract().parseResult(Activity.RESULT_CANCELED, Intent().putExtra("dev.smalt.flow", started.flowId)),
        )
    }
}

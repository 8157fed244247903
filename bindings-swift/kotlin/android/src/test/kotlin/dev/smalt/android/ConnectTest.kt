package dev.smalt.android

import android.app.Activity
import android.app.Application
import android.content.Context
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import android.os.Looper
import dev.smalt.Account
import dev.smalt.AuthorizePage
import dev.smalt.Org
import dev.smalt.Project
import dev.smalt.Smalt
import dev.smalt.SmaltException
import dev.smalt.StartedConnect
import dev.smalt.testing.Sandbox
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotNull
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config

/** With Android's own classes, and a real engine where there is one. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34], manifest = Config.NONE)
internal class ConnectTest {
    private val app: Application get() = RuntimeEnvironment.getApplication()

    private fun shown(started: StartedConnect): ActivityController<ConnectActivity> =
        Robolectric.buildActivity(ConnectActivity::class.java, Connects.intent(app, started)).create().start().resume()

    /** What the browser does at the end: any app may send the same. Answers what is started by it. */
    private fun comesBack(url: String): Intent? {
        shadowOf(app).clearNextStartedActivities()
        val came = Robolectric.buildActivity(RedirectActivity::class.java, Intent(Intent.ACTION_VIEW, Uri.parse(url))).create().get()
        assertTrue(came.isFinishing)
        return shadowOf(came).nextStartedActivity
    }

    private fun returned(activity: Activity): ConnectReturn? {
        assertTrue(activity.isFinishing)
        return Connects.returned(shadowOf(activity).resultCode, shadowOf(activity).resultIntent)
    }

    private fun began(test: suspend (Smalt, Account, StartedConnect) -> Unit) =
        runBlocking {
            withTimeout(120.seconds) {
                val own = Project(version = 1, org = Org(returnTo = listOf(RETURN)))
                val smalt =
                    Smalt.embedded {
                        project = own
                        sandbox = true
                        key = Smalt.makeKey()
                    }
                try {
                    val account = smalt.account("a")
                    account.ensure()
                    test(smalt, account, account.startConnect("sandbox-oauth", returnTo = RETURN, redirectUri = "http://127.0.0.1:9/callback"))
                } finally {
                    smalt.shutdown()
                }
            }
        }

    private suspend fun consents(
        smalt: Smalt,
        started: StartedConnect,
    ): String = assertNotNull(smalt.parkCallback(Sandbox.visit(started.authorizeUrl)).returnTo)

    @Test
    fun `the page opens in a custom tab, and the user comes back by the redirect`() =
        began { smalt, account, started ->
            val shown = shown(started)
            val page = assertNotNull(shadowOf(shown.get()).nextStartedActivity)
            assertEquals(Intent.ACTION_VIEW to Uri.parse(started.authorizeUrl), page.action to page.data)
            assertTrue(page.hasExtra("android.support.customtabs.extra.SESSION"))
            assertEquals(listOf(started.flowId), Connects.pending(app))
            val back = assertNotNull(comesBack(consents(smalt, started)))
            assertEquals(Intent.FLAG_ACTIVITY_CLEAR_TOP or Intent.FLAG_ACTIVITY_SINGLE_TOP, back.flags)
            shown.pause().newIntent(back).resume()
            assertEquals(ConnectReturn.Redirected(started.flowId), returned(shown.get()))
            assertEquals("sandbox-oauth", account.resumeConnect(app, started.flowId).application)
            assertEquals(emptyList(), Connects.pending(app))
        }

    @Test
    fun `a rotation while the user is away opens nothing again and ends nothing`() =
        began { smalt, account, started ->
            val shown = shown(started)
            assertNotNull(shadowOf(shown.get()).nextStartedActivity)
            val kept = Bundle()
            shown.pause().stop().saveInstanceState(kept).destroy()
            val turned = Robolectric.buildActivity(ConnectActivity::class.java, Connects.intent(app, started)).create(kept).start()
            assertFalse(turned.get().isFinishing)
            turned.newIntent(assertNotNull(comesBack(consents(smalt, started)))).resume()
            assertNull(shadowOf(turned.get()).nextStartedActivity)
            assertEquals(ConnectReturn.Redirected(started.flowId), returned(turned.get()))
            assertEquals("sandbox-oauth", account.resumeConnect(app, started.flowId).application)
        }

    @Test
    fun `after the death of the process the flow is pending, and its return is there`() =
        began { smalt, account, started ->
            shown(started)
            // The process ends: nothing is left but the file. Nobody waits when the user comes back.
            Returns.forgetMemory()
            val alone = Robolectric.buildActivity(ConnectActivity::class.java, assertNotNull(comesBack(consents(smalt, started)))).create().start().resume().get()
            assertTrue(alone.isFinishing)
            assertNull(shadowOf(alone).resultIntent)
            Returns.forgetMemory()
            val pending = Connects.pending(app)
            assertEquals(listOf(started.flowId), pending)
            assertEquals("sandbox-oauth", account.session().resumeConnect(app, pending.single()).application)
        }

    @Test
    fun `whoever resumes first waits for the user`() =
        began { smalt, account, started ->
            val shown = shown(started)
            coroutineScope {
                val waits = async(Dispatchers.Default, CoroutineStart.UNDISPATCHED) { account.resumeConnect(app, started.flowId) }
                assertNotNull(comesBack(consents(smalt, started)))
                assertEquals("sandbox-oauth", waits.await().application)
            }
            shown.close()
        }

    @Test
    fun `a flow that ends at the server ends the waiting`() =
        began { _, account, started ->
            shown(started)
            coroutineScope {
                val waits = async(Dispatchers.Default, CoroutineStart.UNDISPATCHED) { runCatching { account.resumeConnect(app, started.flowId) } }
                account.cancelFlow(started.flowId)
                assertEquals("flow_cancelled", assertIs<SmaltException>(waits.await().exceptionOrNull()).code)
            }
            assertEquals(emptyList(), Connects.pending(app))
        }

    @Test
    fun `a page that is closed is no cancelled flow`() =
        began { smalt, account, started ->
            val shown = shown(started)
            assertNotNull(shadowOf(shown.get()).nextStartedActivity)
            shown.pause().resume()
            assertEquals(ConnectReturn.Left(started.flowId), returned(shown.get()))
            // They were in another app, and go on there.
            assertNotNull(comesBack(consents(smalt, started)))
            assertEquals("sandbox-oauth", account.resumeConnect(app, started.flowId).application)
        }

    @Test
    fun `nobody else's link is kept or closes a page`() =
        began { smalt, account, started ->
            shown(started)
            for (forged in listOf("mailto:a@example.com", "$RETURN?flow=0123456789abcdef01234567&claim=x", "$RETURN?claim=x", RETURN)) {
                assertNull(comesBack(forged))
            }
            // One that knows the flow's id does not take the place of the real one.
            val real = consents(smalt, started)
            comesBack(real)
            comesBack("$RETURN?flow=${started.flowId}&claim=forged")
            assertEquals("sandbox-oauth", account.resumeConnect(app, started.flowId).application)
            comesBack(real)
            assertEquals(emptyList(), Connects.pending(app))
        }

    @Test
    fun `without a browser that is said`() =
        began { _, _, started ->
            shadowOf(app).checkActivities(true)
            val shown = shown(started)
            assertEquals(ConnectReturn.NoBrowser(started.flowId), returned(shown.get()))
            assertFailsWith<IllegalStateException> { BrowserPresenter(app).present(PAGE) }
            shadowOf(app).checkActivities(false)
            assertNull(BrowserPresenter(app).present(PAGE))
            assertEquals(PAGE.authorizeUrl, shadowOf(app).nextStartedActivity.data.toString())
        }

    @Test
    fun `another's result is none`() {
        assertNull(Connects.returned(Activity.RESULT_OK, null))
        assertNull(Connects.returned(Activity.RESULT_CANCELED, Intent()))
    }

    @Test
    fun `nothing that a user holds is shown`() =
        began { smalt, _, started ->
            shown(started)
            val back = consents(smalt, started)
            val claim = Uri.parse(back).getQueryParameter("claim")!!
            val intent = assertNotNull(comesBack(back))
            assertFalse(claim in "$intent ${intent.extras}")
            val kept = app.getSharedPreferences("dev.smalt.connects", Context.MODE_PRIVATE).all.values
            assertTrue(kept.any { claim in it.toString() })
            shadowOf(Looper.getMainLooper()).idle()
        }

    private companion object {
        const val RETURN = "com.example.app:/connected"
        val PAGE = AuthorizePage("https://provider.example/authorize", "", "Provider")
    }
}

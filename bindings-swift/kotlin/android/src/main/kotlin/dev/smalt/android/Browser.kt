package dev.smalt.android

import android.content.ActivityNotFoundException
import android.content.Context
import android.content.Intent
import android.net.Uri
import android.os.Bundle
import dev.smalt.AuthorizePage
import dev.smalt.Presenter

internal object Browser {
    /** A page, in a custom tab where the browser has them: without a session of its own, it is this extra that asks for one. */
    fun intent(page: String): Intent =
        Intent(Intent.ACTION_VIEW, Uri.parse(page))
            .addCategory(Intent.CATEGORY_BROWSABLE)
            .putExtras(Bundle().apply { putBinder("android.support.customtabs.extra.SESSION", null) })
}

/**
 * Opens pages in the device's browser, for `session.connect(slug)`: the server's own page asks the user, the provider sends them back there,
 * and the call ends when the flow has. It needs no redirect to the app, and does not outlive the process: [Connects] does both.
 */
public class BrowserPresenter(
    context: Context,
) : Presenter {
    private val context = context.applicationContext

    override val name: String get() = "android"

    override suspend fun present(page: AuthorizePage): String? {
        try {
            context.startActivity(Browser.intent(page.authorizeUrl).addFlags(Intent.FLAG_ACTIVITY_NEW_TASK))
        } catch (none: ActivityNotFoundException) {
            throw IllegalStateException("there is no browser on this device", none)
        }
        return null
    }
}

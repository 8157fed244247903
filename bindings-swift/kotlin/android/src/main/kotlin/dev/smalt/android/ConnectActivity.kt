package dev.smalt.android

import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.os.Bundle

/**
 * Lies below the browser. The first time it is seen, it opens the page; the second time the user is back, and it ends. Not for apps to start
 * by themselves: [Connects.intent] makes its intent.
 */
public class ConnectActivity : Activity() {
    private var flow: String? = null
    private var page: String? = null
    private var isOpen = false

    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        val from = state ?: intent.extras ?: Bundle.EMPTY
        flow = from.getString(FLOW)
        page = from.getString(PAGE)
        isOpen = from.getBoolean(IS_OPEN)
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putString(FLOW, flow)
        state.putString(PAGE, page)
        state.putBoolean(IS_OPEN, isOpen)
    }

    override fun onNewIntent(intent: Intent) {
        super.onNewIntent(intent)
        setIntent(intent)
    }

    override fun onResume() {
        super.onResume()
        val flow = flow
        val back = intent.getStringExtra(RETURNED)
        val page = page
        when {
            // The user came back, and nobody waits here: the activity was gone. The app's own must be seen.
            flow == null || page == null -> {
                if (isTaskRoot) packageManager.getLaunchIntentForPackage(packageName)?.let { startActivity(it) }
                finish()
            }
            back != null -> {
                // Of another flow that began before: this one's user is still away, or has left.
                val ended = if (back == flow) RESULT_OK else RESULT_CANCELED
                end(ended, Intent().putExtra(FLOW, flow))
            }
            isOpen -> end(RESULT_CANCELED, Intent().putExtra(FLOW, flow))
            else -> {
                Returns.of(this).begin(flow)
                isOpen = true
                try {
                    startActivity(Browser.intent(page))
                } catch (_: ActivityNotFoundException) {
                    end(RESULT_CANCELED, Intent().putExtra(FLOW, flow).putExtra(NO_BROWSER, true))
                }
            }
        }
    }

    private fun end(
        result: Int,
        data: Intent,
    ) {
        setResult(result, data)
        finish()
    }

    internal companion object {
        const val FLOW = "dev.smalt.flow"
        const val PAGE = "dev.smalt.page"
        const val IS_OPEN = "dev.smalt.open"
        const val RETURNED = "dev.smalt.returned"
        const val NO_BROWSER = "dev.smalt.no_browser"
    }
}

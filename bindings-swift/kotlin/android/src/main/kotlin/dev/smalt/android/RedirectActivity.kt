package dev.smalt.android

import android.app.Activity
import android.content.Intent
import android.os.Bundle

/**
 * Where the browser sends the user back to: it is shown to nobody. It keeps where they came back to, closes the browser above
 * [ConnectActivity], and ends.
 */
public class RedirectActivity : Activity() {
    override fun onCreate(state: Bundle?) {
        super.onCreate(state)
        val flow = intent.data?.let { Returns.of(this).returned(it) }
        if (flow == null) {
            // Of no flow that began here, or of one that was resumed: the app is shown as it is.
            packageManager.getLaunchIntentForPackage(packageName)?.let { startActivity(it) }
        } else {
            startActivity(
                Intent(this, ConnectActivity::class.java)
                    .putExtra(ConnectActivity.RETURNED, flow)
                    .addFlags(Intent.FLAG_ACTIVITY_CLEAR_TOP or Intent.FLAG_ACTIVITY_SINGLE_TOP),
            )
        }
        finish()
    }
}

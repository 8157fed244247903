package dev.smalt.android

import android.content.Context
import android.content.Intent
import androidx.activity.result.contract.ActivityResultContract
import dev.smalt.StartedConnect

/**
 * The provider's page as an activity-result contract: register it before the activity or the fragment is created, launch it with what
 * `startConnect` answered, and resume with `resumeConnect`. The result comes after a rotation and after the death of the process, too.
 */
public class ConnectContract : ActivityResultContract<StartedConnect, ConnectReturn?>() {
    override fun createIntent(
        context: Context,
        input: StartedConnect,
    ): Intent = Connects.intent(context, input)

    /** `null` where the system took the page away without a word. */
    override fun parseResult(
        resultCode: Int,
        intent: Intent?,
    ): ConnectReturn? = Connects.returned(resultCode, intent)
}

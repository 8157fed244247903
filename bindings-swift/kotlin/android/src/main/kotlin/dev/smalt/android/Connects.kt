package dev.smalt.android

import android.app.Activity
import android.content.Context
import android.content.Intent
import dev.smalt.Connecting
import dev.smalt.Connection
import dev.smalt.SmaltException
import dev.smalt.StartedConnect
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.selects.select
import kotlinx.coroutines.withContext

/**
 * Shows a provider's page and brings the user back. Begin with `session.startConnect(slug, returnTo = "com.example.app:/connected")`, whose
 * scheme is the manifest's placeholder; then start [intent] for a result, and resume with [resumeConnect].
 *
 * With androidx, `ConnectContract` of `dev.smalt:smalt-androidx` is the same as an activity-result contract.
 */
public object Connects {
    /** What to start for a result. The page opens in a custom tab where the browser has them, and as an ordinary page else. */
    @JvmStatic
    public fun intent(
        context: Context,
        started: StartedConnect,
    ): Intent =
        Intent(context, ConnectActivity::class.java)
            .putExtra(ConnectActivity.FLOW, started.flowId)
            .putExtra(ConnectActivity.PAGE, started.authorizeUrl)

    /** What the result of [intent] says; `null` where it is another's. */
    @JvmStatic
    public fun returned(
        resultCode: Int,
        data: Intent?,
    ): ConnectReturn? {
        val flow = data?.getStringExtra(ConnectActivity.FLOW) ?: return null
        return when {
            resultCode == Activity.RESULT_OK -> ConnectReturn.Redirected(flow)
            data.getBooleanExtra(ConnectActivity.NO_BROWSER, false) -> ConnectReturn.NoBrowser(flow)
            else -> ConnectReturn.Left(flow)
        }
    }

    /**
     * Ids of flows that were begun on this device and not resumed to their end, oldest first: what to resume when the app is started again.
     * One that began an hour ago is none any more.
     */
    @JvmStatic
    public fun pending(context: Context): List<String> = Returns.of(context).flows()

    /** Lets go of a flow that nobody wants to resume, e.g. one that was cancelled. */
    @JvmStatic
    public fun forget(
        context: Context,
        flowId: String,
    ): Unit = Returns.of(context).forget(flowId)
}

/**
 * The connection that a flow makes, in whatever process it was begun: after a rotation, and after the app was closed while the user was at the
 * provider. Waits for the user to come back, and as long as the flow lives. Once it has ended, it is not [pending][Connects.pending] any more.
 *
 * @param context Any of the app's.
 * @param flowId The flow's id, of `startConnect` or of [Connects.pending].
 * @throws SmaltException Why the flow made none: `user_denied`, `flow_expired`, `flow_cancelled`, …
 */
public suspend fun Connecting.resumeConnect(
    context: Context,
    flowId: String,
): Connection {
    val returns = withContext(Dispatchers.IO) { Returns.of(context) }
    val connection =
        try {
            // Whatever comes first: the user here, or the flow's end at the server.
            returns.url(flowId)?.let { resumeConnect(flowId, it) } ?: coroutineScope {
                val here = async { returns.await(flowId) }
                val ended = async { runCatching { resumeConnect(flowId) } }
                val url = select { here.onAwait { it }; ended.onAwait { null } }
                if (url == null) {
                    here.cancelAndJoin()
                    ended.await().getOrThrow()
                } else {
                    ended.cancelAndJoin()
                    resumeConnect(flowId, url)
                }
            }
        } catch (failed: SmaltException) {
            // Of the flow, or of the way there; only then can it be tried again.
            if (isOver(failed)) returns.forget(flowId)
            throw failed
        }
    returns.forget(flowId)
    return connection
}

private fun isOver(failed: SmaltException): Boolean =
    when (failed) {
        is SmaltException.Unavailable, is SmaltException.Timeout, is SmaltException.Unauthenticated, is SmaltException.Plugin -> false
        else -> true
    }

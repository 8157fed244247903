package dev.smalt.android

import android.content.Context
import android.content.SharedPreferences
import android.net.Uri
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.first

/**
 * Flows that were begun on this device, and where their users came back to, until somebody resumes them. Kept in a private file, so that they
 * outlive the process. What stands in it opens nothing by itself: a claim counts once, for ten minutes, with the session of the account that began.
 */
internal class Returns private constructor(
    private val kept: SharedPreferences,
) {
    private val changes = MutableStateFlow(0)

    /** A flow begins: from now on its return is accepted. */
    fun begin(flow: String) {
        val old = flows()
        kept
            .edit()
            .apply {
                kept.all.keys.filter { it.substringAfter('.') !in old }.forEach { remove(it) }
                if (flow !in old) putLong(BEGAN + flow, System.currentTimeMillis())
            }.apply()
    }

    /**
     * The user came back with this URL. Anyone can send one: what is of no flow that began here is not kept, and none takes the place of one
     * with a claim. The flow's id, where it was kept.
     */
    fun returned(url: Uri): String? {
        val flow = if (url.isHierarchical) url.getQueryParameter("flow") else null
        if (flow == null || flow !in flows()) return null
        val former = url(flow)?.let { Uri.parse(it) }
        if (former?.getQueryParameter("claim") == null) {
            // Written before the process can end.
            kept.edit().putString(URL + flow, url.toString()).commit()
            changes.value++
        }
        return flow
    }

    /** Where the user of a flow came back to. */
    fun url(flow: String): String? = kept.getString(URL + flow, null)

    /** As soon as the user has come back. */
    suspend fun await(flow: String): String {
        changes.first { url(flow) != null }
        return checkNotNull(url(flow))
    }

    fun forget(flow: String) {
        kept.edit().remove(BEGAN + flow).remove(URL + flow).commit()
    }

    fun flows(): List<String> {
        val oldest = System.currentTimeMillis() - LIFE
        val began = kept.all.filterKeys { it.startsWith(BEGAN) }.mapValues { it.value as? Long ?: 0L }
        return began.filterValues { it > oldest }.entries.sortedBy { it.value }.map { it.key.removePrefix(BEGAN) }
    }

    companion object {
        private const val FILE = "dev.smalt.connects"
        private const val BEGAN = "began."
        private const val URL = "url."
        private const val LIFE = 60 * 60 * 1000L

        private var one: Pair<Context, Returns>? = null

        /** The app's own. */
        @Synchronized
        fun of(context: Context): Returns {
            val app = context.applicationContext
            one?.let { (of, returns) -> if (of === app) return returns }
            return Returns(app.getSharedPreferences(FILE, Context.MODE_PRIVATE)).also { one = app to it }
        }

        /** For tests: what a process forgets when it ends. */
        @Synchronized
        fun forgetMemory() {
            one = null
        }
    }
}

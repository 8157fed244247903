package example

import androidx.compose.runtime.getValue
import androidx.compose.runtime.mutableStateOf
import androidx.compose.runtime.setValue
import dev.smalt.AppStatus
import dev.smalt.Application
import dev.smalt.Session
import dev.smalt.SmaltException

/** What the screen shows, and what its buttons do. It knows nothing of Compose but its state. */
class AppsModel(
    private val session: Session,
) {
    var apps: List<Application> by mutableStateOf(emptyList())
        private set

    /** The application whose button was pressed. */
    var busy: String? by mutableStateOf(null)
        private set

    /** What went wrong last, in core's own words. */
    var trouble: String? by mutableStateOf(null)
        private set

    suspend fun load() = trying { apps = session.listApps() }

    /** Connects what is not connected, and disconnects what is. */
    suspend fun press(app: Application) =
        trying {
            busy = app.slug
            if (app.isConnected) session.disconnect(app.slug) else session.connect(app.slug)
            apps = session.listApps()
        }

    private suspend fun trying(what: suspend () -> Unit) {
        trouble = null
        try {
            what()
        } catch (failed: SmaltException) {
            trouble = failed.message
        } finally {
            busy = null
        }
    }
}

val Application.isConnected: Boolean get() = status == AppStatus.CONNECTED

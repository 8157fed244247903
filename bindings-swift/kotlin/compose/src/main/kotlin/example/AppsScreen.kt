package example

import androidx.compose.foundation.background
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.size
import androidx.compose.foundation.shape.CircleShape
import androidx.compose.material.Button
import androidx.compose.material.ButtonDefaults
import androidx.compose.material.MaterialTheme
import androidx.compose.material.Surface
import androidx.compose.material.Text
import androidx.compose.runtime.Composable
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.unit.dp
import dev.smalt.Application

val CONNECTED = Color(0xFF2E7D32)
val NOT_CONNECTED = Color(0xFFBDBDBD)

/** The applications of a linked account: what each one is, how it stands, and one button. */
@Composable
fun AppsScreen(
    model: AppsModel,
    press: (Application) -> Unit,
) {
    MaterialTheme {
        Surface(Modifier.fillMaxSize()) {
            Column(Modifier.padding(16.dp), Arrangement.spacedBy(12.dp)) {
                Text("Integrations", style = MaterialTheme.typography.h5)
                model.trouble?.let { Text(it, color = MaterialTheme.colors.error) }
                for (app in model.apps) AppRow(app, isBusy = model.busy == app.slug) { press(app) }
            }
        }
    }
}

@Composable
private fun AppRow(
    app: Application,
    isBusy: Boolean,
    press: () -> Unit,
) {
    Row(Modifier.fillMaxWidth(), Arrangement.spacedBy(12.dp), Alignment.CenterVertically) {
        Box(Modifier.size(12.dp).background(if (app.isConnected) CONNECTED else NOT_CONNECTED, CircleShape))
        Column(Modifier.weight(1f)) {
            Text(app.name, style = MaterialTheme.typography.subtitle1)
            Text(app.description, style = MaterialTheme.typography.caption, maxLines = 1)
        }
        Button(press, enabled = !isBusy, colors = ButtonDefaults.buttonColors(), elevation = null) {
            Text(if (app.isConnected) "Disconnect" else "Connect")
        }
    }
}

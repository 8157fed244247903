package example

import androidx.compose.ui.ExperimentalComposeUiApi
import androidx.compose.ui.ImageComposeScene
import androidx.compose.ui.geometry.Offset
import androidx.compose.ui.graphics.toArgb
import androidx.compose.ui.input.pointer.PointerEventType
import dev.smalt.AppStatus
import dev.smalt.Application
import dev.smalt.Smalt
import java.awt.image.BufferedImage
import java.io.ByteArrayInputStream
import java.io.File
import javax.imageio.ImageIO
import kotlin.test.Test
import kotlin.test.assertEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlinx.coroutines.runBlocking
import org.jetbrains.skia.EncodedImageFormat

/** The screen as a user sees it and presses it, over a real engine. */
internal class ScreenTest {
    @OptIn(ExperimentalComposeUiApi::class)
    private fun drawn(
        scene: ImageComposeScene,
        name: String,
    ): BufferedImage {
        // Twice: what changed is laid out in one frame and settled in the next.
        scene.render(0)
        val bytes = checkNotNull(scene.render(1_000_000_000).encodeToData(EncodedImageFormat.PNG)).bytes
        File(System.getProperty("pictures"), "$name.png").writeBytes(bytes)
        return ImageIO.read(ByteArrayInputStream(bytes))
    }

    private fun BufferedImage.count(argb: Int): Int = (0 until width).sumOf { x -> (0 until height).count { y -> getRGB(x, y) == argb } }

    private fun BufferedImage.colours(): Int = (0 until width).flatMap { x -> (0 until height).map { y -> getRGB(x, y) } }.toSet().size

    @OptIn(ExperimentalComposeUiApi::class)
    @Test
    fun `the button connects, and the screen shows it`() =
        runBlocking {
            Smalt.sandbox().use { smalt ->
                val account = smalt.account("customer-42")
                account.ensure()
                val model = AppsModel(account.session())
                model.load()
                assertNull(model.trouble)
                assertTrue(model.apps.isNotEmpty())
                val pressed = ArrayList<Application>()
                val scene = ImageComposeScene(480, 640) { AppsScreen(model) { pressed += it } }
                try {
                    val before = drawn(scene, "apps")
                    assertTrue(before.colours() > 20, "text is drawn, and its edges are smooth")
                    assertEquals(0, before.count(CONNECTED.toArgb()))
                    assertTrue(before.count(NOT_CONNECTED.toArgb()) > 50 * model.apps.size)

                    val first = model.apps.first { it.slug == "sandbox-oauth" }
                    // Where the dots are; edges of letters are grey, too, but never four in a line.
                    val rows = (0 until before.height).filter { y -> (16 until 28).count { x -> before.getRGB(x, y) == NOT_CONNECTED.toArgb() } >= 4 }
                    val bands = rows.fold(ArrayList<MutableList<Int>>()) { made, y -> made.apply { if (isEmpty() || y > last().last() + 1) add(arrayListOf(y)) else last().add(y) } }
                    assertEquals(model.apps.size, bands.size, "a row for each application")
                    val at = Offset(420f, bands[model.apps.indexOf(first)].average().toFloat())
                    scene.sendPointerEvent(PointerEventType.Press, at)
                    scene.sendPointerEvent(PointerEventType.Release, at)
                    scene.render(2_000_000_000)
                    assertEquals(listOf(first), pressed)

                    model.press(first)
                    assertNull(model.trouble)
                    assertEquals(AppStatus.CONNECTED, model.apps.first { it.slug == first.slug }.status)
                    val after = drawn(scene, "apps-connected")
                    assertTrue(after.count(CONNECTED.toArgb()) > 50)
                } finally {
                    scene.close()
                }
            }
        }
}

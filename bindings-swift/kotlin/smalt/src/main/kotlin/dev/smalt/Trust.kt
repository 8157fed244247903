package dev.smalt

import java.security.KeyStore
import java.util.Base64
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509TrustManager

/**
 * What an Android device trusts. The native library finds no certificate authority there by itself, and would reach nothing but loopback. What an
 * app's network security configuration says beside that (pins, an authority of its own) is not read.
 */
internal object Trust {
    /** The device's authorities on Android, read once; elsewhere nothing, since the library knows the platform's. */
    fun ofDevice(
        machine: String? = System.getProperty("java.vm.name"),
        read: () -> String = { authorities },
    ): String? {
        // Android's machine has had this name since its first one.
        if (machine != "Dalvik") return null
        return try {
            read().ifEmpty { null }
        } catch (broken: Exception) {
            val reason = "The certificate authorities of this device can't be read. Name those to trust with `certificateAuthority`."
            throw failure("unsupported", "unsupported", reason).apply { initCause(broken) }
        }
    }

    private val authorities: String by lazy {
        val factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
        factory.init(null as KeyStore?)
        val trusted = factory.trustManagers.filterIsInstance<X509TrustManager>().flatMap { it.acceptedIssuers.toList() }
        val encoder = Base64.getMimeEncoder(64, "\n".encodeToByteArray())
        trusted.joinToString("") { "-----BEGIN CERTIFICATE-----\n${encoder.encodeToString(it.encoded)}\n-----END CERTIFICATE-----\n" }
    }
}

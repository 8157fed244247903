package dev.smalt.android

import dev.smalt.ServerOptions
import java.security.KeyStore
import java.util.Base64
import javax.net.ssl.TrustManagerFactory
import javax.net.ssl.X509TrustManager

/**
 * Trusts the certificate authorities that the device trusts: `Session(server, { trustDevice() }) { … }`. On Android the native library finds
 * none by itself, and without this nothing but loopback is reached. What an app's network security configuration says beside that (pins, an
 * authority of its own) is not read; name such an authority in `certificateAuthority` instead.
 */
public fun ServerOptions.trustDevice() {
    certificateAuthority = devicesAuthorities
}

private val devicesAuthorities: String by lazy {
    val factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm())
    factory.init(null as KeyStore?)
    val trusted = factory.trustManagers.filterIsInstance<X509TrustManager>().flatMap { it.acceptedIssuers.toList() }
    val encoder = Base64.getMimeEncoder(64, "\n".encodeToByteArray())
    trusted.joinToString("") { "-----BEGIN CERTIFICATE-----\n${encoder.encodeToString(it.encoded)}\n-----END CERTIFICATE-----\n" }
}

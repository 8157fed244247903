package dev.smalt

import java.time.Instant
import kotlin.time.Duration

/** Checks deliveries of webhooks, where they are received. */
public object Webhooks {
    /** A delivery that is genuine. */
    public data class Verified(
        /** The delivery's id: the same for each try, so that a second one can be passed over. */
        public val id: String,
        /** When it was sent. */
        public val sentAt: Instant,
    )

    /**
     * Checks a delivery's signature and age.
     *
     * @param headers The request's headers.
     * @param body The request's body, as it came.
     * @param secrets The webhook's secret; two while one replaces another.
     * @param tolerance How old it may be; default 5 minutes.
     * @param now Default the system's time.
     * @throws SmaltException It is not genuine, or too old.
     */
    @JvmStatic
    public fun verify(
        headers: Map<String, String>,
        body: String,
        secrets: List<Secret>,
        tolerance: Duration? = null,
        now: Instant? = null,
    ): Verified {
        val delivery =
            obj {
                put("headers", array(headers.toList()) { (name, value) -> array(listOf(name, value)) { json(it) } })
                put("body", json(body))
                put("secrets", array(secrets) { json(it) })
                putSome("tolerance", tolerance) { json(it) }
                putSome("now", now) { json(it.toEpochMilli()) }
            }
        val its = objectOf(parsed(native.verifyWebhook(delivery.bytes())))
        return Verified(need(its, "id") { textOf(it) }, need(its, "sent_at") { instantOf(it) })
    }

    /** Checks the signature that receivers of the hosted service know (`x-cobalt-signature`). */
    @JvmStatic
    public fun verifyCompatible(
        signature: String,
        body: String,
        secrets: List<Secret>,
    ) {
        val delivery =
            obj {
                put("headers", array(emptyList<String>()) { json(it) })
                put("body", json(body))
                put("secrets", array(secrets) { json(it) })
                put("compatible", json(signature))
            }
        native.verifyWebhook(delivery.bytes())
    }
}

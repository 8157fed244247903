package dev.smalt.android

/** How the user came back from the provider's page. Whatever it is, `session.resumeConnect(context, flowId)` says what became of the flow. */
public sealed class ConnectReturn {
    /** The flow's id. */
    public abstract val flowId: String

    /** By the redirect, at the end of the provider's page. The connect is not done yet: resume it. */
    public data class Redirected(
        override val flowId: String,
    ) : ConnectReturn()

    /**
     * By closing the page, or by going back to the app. The flow is still open at the server: the user can come back later, and then it can be
     * resumed; cancel it where that is not wanted.
     */
    public data class Left(
        override val flowId: String,
    ) : ConnectReturn()

    /** There is no browser on this device. */
    public data class NoBrowser(
        override val flowId: String,
    ) : ConnectReturn()
}

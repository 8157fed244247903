package example

import dev.smalt.Smalt

/** The ten lines of the README, offline; answers what became of the grant. */
suspend fun tenLines(): String {
    // README: from here
    val smalt = Smalt.sandbox() // yours: Smalt.embedded("smalt.db") { projectFile = "smalt.toml" }
    val account = smalt.account("customer-42") // a handle, no I/O
    account.ensure()
    val connection = account.connect("sandbox-oauth") // the user consents; nobody else can finish the flow
    val config = account.config("sandbox-oauth") // found or made: settings and workflow switches
    val credential = account.credential("sandbox-oauth") // valid now, refreshed at most once by anyone
    val answer = account.request("sandbox-oauth", "GET", "items") // an authenticated call
    val receipt = account.disconnect("sandbox-oauth") // secrets and settings gone, the grant revoked
    println("${connection.identity?.label} ${config.version} ${credential.expiresAt} ${answer.status}")
    println(receipt.revocation.text)
    // README: to here
    smalt.shutdown()
    return receipt.revocation.text
}

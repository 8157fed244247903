import Foundation
import Smalt

/// The ten lines of the README, offline; answers what became of the grant.
func tenLines() async throws -> String {
    // README: from here
    let smalt = try await Smalt.sandbox()  // yours: Smalt.embedded("smalt.db", options: EmbeddedOptions(projectFile: "smalt.toml"))
    let account = smalt.account("customer-42")  // a handle, no I/O
    try await account.ensure()
    let connection = try await account.connect("sandbox-oauth")  // the user consents; nobody else can finish the flow
    let config = try await account.config("sandbox-oauth")  // found or made: settings and workflow switches
    let credential = try await account.credential("sandbox-oauth")  // valid now, refreshed at most once by anyone
    let answer = try await account.request("sandbox-oauth", "GET", "items")  // an authenticated call
    let receipt = try await account.disconnect("sandbox-oauth")  // secrets and settings gone, the grant revoked
    print(connection.identity?.label ?? "", config.version, credential.expiresAt?.description ?? "", answer.status)
    print(receipt.revocation.rawValue)
    // README: to here
    await smalt.close()
    return receipt.revocation.rawValue
}

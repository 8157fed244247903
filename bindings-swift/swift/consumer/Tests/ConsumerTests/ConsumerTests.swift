import Foundation
import Smalt
import SmaltTesting
import Testing

@Test func theLinesOfTheReadmeRun() async throws {
    #expect(try await tenLines() == "revoked")
}

@Test func aWholeLife() async throws {
    let smalt = try await Smalt.sandbox()
    let account = smalt.account("customer-42")
    try await account.ensure()
    let connection = try await account.connect("sandbox-oauth")
    let config = try await account.config("sandbox-oauth")
    let credential = try await account.credential("sandbox-oauth")
    let answer = try await account.request("sandbox-oauth", "GET", "items")
    let receipt = try await account.disconnect("sandbox-oauth")
    #expect(answer.ok && credential.accessToken != nil && config.application == connection.application)
    #expect(receipt.application == "sandbox-oauth")
    do {
        _ = try await account.credential("sandbox-oauth")
        Issue.record("it went well")
    } catch SmaltError.Code.notConnected {}
    await smalt.close()
}

@Test func aSandboxOfItsOwn() async throws {
    let sandbox = try await Sandbox.start()
    try await sandbox.control(["do": "set", "ways": ["expires_in": 5]])
    #expect(try await sandbox.stats().object != nil)
}

/// A view takes either handle.
func names(_ linked: some Linked) async throws -> [String] { try await linked.listApps().map(\.name) }

@Test func bothHandlesDoTheSame() async throws {
    let smalt = try await Smalt.sandbox()
    let account = smalt.account("a")
    try await account.ensure()
    #expect(try await names(account) == names(account.session()))
    await smalt.close()
}

@Test func acmeCRMSaysWhatItSaysInEveryLanguage() async throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../acme-crm").standardizedFileURL
    var said = ""
    try await acmeCRM(project: folder.appendingPathComponent("smalt.toml").path) { said += $0 + "\n" }
    #expect(try said == String(contentsOf: folder.appendingPathComponent("expected.txt"), encoding: .utf8))
}

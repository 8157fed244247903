import Foundation
import Testing

@testable import Smalt
@testable import SmaltTesting

/// A connect whose app was closed while its user was at the provider.
@Suite(.serialized) struct ResumeTests {
    private static func began(_ test: @escaping @Sendable (Smalt, Account, StartedConnect, URL) async throws -> Void) async throws {
        try await running {
            let project = Project(version: 1, org: Org(returnTo: ["com.example.app:/connected"]))
            let smalt = try await Smalt.embedded(options: .init(project: project, key: Smalt.makeKey(), sandbox: true))
            let account = smalt.account("a")
            try await account.ensure()
            let started = try await account.startConnect(
                "sandbox-oauth", returnTo: "com.example.app:/connected", redirectURI: "http://127.0.0.1:9/callback")
            // What the server's callback route does with a browser that has no cookie.
            let parked = try await smalt.parkCallback(Sandbox.visit(started.authorizeURL))
            try await test(smalt, account, started, try #require(parked.returnTo.flatMap { URL(string: $0) }))
            await smalt.close()
        }
    }

    @Test func theReturnOfTheUserIsAllThatIsNeededAndMayComeTwice() async throws {
        try await Self.began { _, account, started, returned in
            let session = try await account.session()
            let connection = try await session.resumeConnect(started.flowID, returned: returned)
            #expect(connection.application == "sandbox-oauth")
            #expect(try await session.resumeConnect(started.flowID, returned: returned).id == connection.id)
            #expect(try await session.resumeConnect(started.flowID).id == connection.id)
        }
    }

    @Test func whoeverWaitsForTheFlowSeesWhatAnotherOneEnded() async throws {
        try await Self.began { _, account, started, returned in
            async let waits = account.resumeConnect(started.flowID)
            let ended = try await account.resumeConnect(started.flowID, returned: returned)
            #expect(try await waits.id == ended.id)
        }
    }

    @Test func aForgedReturnSaysNothingAndEndsNothing() async throws {
        try await Self.began { smalt, account, started, returned in
            for text in ["nonsense", "com.example.app:/connected?flow=\(started.flowID)&claim=x"] {
                let forged = try #require(URL(string: text))
                let error = try await thrown { _ = try await account.resumeConnect(started.flowID, returned: forged) }
                #expect(error.code == .claimInvalid)
            }
            try await smalt.account("b").ensure()
            let other = try await thrown { _ = try await smalt.account("b").resumeConnect(started.flowID) }
            #expect(other.code == .flowNotFound)
            #expect(try await account.resumeConnect(started.flowID, returned: returned).application == "sandbox-oauth")
        }
    }

    @Test func aFlowThatWasCancelledSaysSo() async throws {
        try await Self.began { _, account, started, _ in
            _ = try await account.cancelFlow(started.flowID)
            let error = try await thrown { _ = try await account.resumeConnect(started.flowID) }
            #expect(error.code == .flowCancelled)
        }
    }
}

import Foundation
import Testing

@testable import Smalt

/// A session at a server, whose tokens come from the user's own backend.
@Suite(.serialized) struct SessionTests {
    private struct LoggedOut: Error, LocalizedError {
        var errorDescription: String? { "not logged in" }
    }

    @Test func tokensAreAskedForOnceForAllThatWaitAndAgainWhenOneHasEnded() async throws {
        try await served { url, smalt in
            let account = smalt.account("phone")
            try await account.ensure()
            let asked = Locked(0)
            let session = try Session(server: url, options: .init(proxy: false)) {
                asked.with { $0 += 1 }
                return try await account.session(force: true).token
            }
            #expect(asked.with { $0 } == 0, "no I/O before the first call")
            let lists = try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<20 { group.addTask { try await session.listApps().map(\.slug) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(asked.with { $0 } == 1)
            #expect(lists.count == 20 && lists.allSatisfy { $0.contains("sandbox-oauth") })
            #expect(try await session.revoke())
            _ = try await session.listApps()
            #expect(asked.with { $0 } == 2)
        }
    }

    @Test func whatTheBackendThrowsArrivesWithItsOwnText() async throws {
        try await served { url, _ in
            let session = try Session(server: url, options: .init(proxy: false)) { throw LoggedOut() }
            let error = try await thrown { _ = try await session.listApps() }
            #expect(error.kind == .plugin && error.localizedDescription.contains("not logged in"))
            #expect(error.underlying is LoggedOut)
            let refused = try Session(server: url, token: Secret("no-token"), options: .init(proxy: false))
            #expect(try await thrown { _ = try await refused.listApps() }.code == .invalidToken)
        }
    }

    @Test func aSessionThatNobodyHoldsIsLetGoOf() async throws {
        try await served { url, _ in
            let before = (Engine.open.with { $0 }, Homes.shared.open)
            for _ in 0..<20 { _ = try Session(server: url, options: .init(proxy: false)) { Secret("t") } }
            #expect(Engine.open.with { $0 } == before.0 && Homes.shared.open == before.1)
        }
    }

    @Test func thePreviewNeedsNoServer() async throws {
        try await running {
            let session = Session.preview
            let both = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<5 { group.addTask { try await session.listApps().count } }
                return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
            }
            #expect(both.count == 1 && both.first ?? 0 > 1)
            #expect(try await session.connect("sandbox-oauth").application == "sandbox-oauth")
            #expect(try await session.getApp("sandbox-oauth").status == .connected)
        }
    }
}

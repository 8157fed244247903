import Foundation
import Testing

@testable import Smalt
@testable import SmaltTesting

/// Who waits for a call, and from where.
@Suite(.serialized) struct WaitersTests {
    @Test func whatHasAnEffectGoesOnWhenItsWaiterGoes() async throws {
        try await sandboxed { smalt in
            let account = smalt.account("a")
            try await account.ensure()
            let started = try await account.startConnect("sandbox-oauth", redirectURI: "http://127.0.0.1/callback")
            let callback = try await Sandbox.visit(started.authorizeURL)
            let done = Locked(false)
            let finishing = Task {
                defer { done.with { $0 = true } }
                _ = try await account.finishConnect(callbackURL: callback, cookie: started.cookie.value)
            }
            while !done.with({ $0 }), try await account.getFlow(started.flowID).status == .pending { await Task.yield() }
            finishing.cancel()
            _ = await finishing.result
            let ended = try await account.waitFlow(started.flowID, timeout: .seconds(60))
            #expect(ended.status == .connected)
            let connections = try await account.listConnections()
            #expect(connections.map(\.id) == [ended.connectionID])
        }
    }

    @Test func severalThreadsUseOneEngine() async throws {
        try await sandboxed { smalt in
            let failed = Locked([String]())
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<8 {
                    group.addTask {
                        // A thread of its own, which begins its calls by itself and waits for each.
                        await withCheckedContinuation { waiter in
                            Thread.detachNewThread {
                                for call in 0..<20 {
                                    let ended = DispatchSemaphore(value: 0)
                                    Task.detached {
                                        do { try await smalt.account("t-\(number)-\(call)").ensure() } catch { failed.with { $0.append("\(error)") } }
                                        ended.signal()
                                    }
                                    ended.wait()
                                }
                                waiter.resume()
                            }
                        }
                    }
                }
            }
            #expect(failed.with { $0 } == [])
            let count = try await smalt.countAccounts()
            #expect(count == 160)
        }
    }
}

import Foundation
import Testing

@testable import Smalt
@testable import SmaltTesting

/// Code of the host's that the core calls.
@Suite(.serialized) struct PluginsTests {
    private static let digest = Project(
        version: 1, apps: ["sandbox-oauth": AppSettings(workflows: [WorkflowDef(id: "digest", name: "Digest")])])

    private struct Acme: VerifyingConnector {
        let slug = "sandbox-oauth"
        let verifying: @Sendable (ConnectorContext) async throws -> Identity?

        func verify(_ context: ConnectorContext) async throws -> Identity? { try await verifying(context) }
    }

    private struct Shelf: Error, LocalizedError {
        var errorDescription: String? { "the shelf is empty" }
    }

    private static func with(
        _ given: EmbeddedOptions,
        consents: String? = "ada",
        _ test: @escaping @Sendable (Account) async throws -> Void
    ) async throws {
        try await running {
            var options = given
            options.sandbox = true
            (options.throwawayKey, options.consents) = (true, consents)
            if options.timings == nil { options.timings = Timings(plugin: .seconds(30)) }
            let smalt = try await Smalt.embedded(options: options)
            do {
                try await smalt.account("a").ensure()
                try await test(smalt.account("a"))
            } catch {
                await smalt.close()
                throw error
            }
            await smalt.close()
            try await until { Homes.shared.busy == 0 }
        }
    }

    private static func verifying(
        _ verify: @escaping @Sendable (ConnectorContext) async throws -> Identity?,
        timings: Timings? = nil,
        _ test: @escaping @Sendable (Account) async throws -> Void
    ) async throws {
        try await with(EmbeddedOptions(connectors: [Acme(verifying: verify)], timings: timings), test)
    }

    @Test func aConnectorAnswersWithItsOwnWayToTheApplication() async throws {
        try await Self.verifying({ context in
            #expect(context.accountID == "a" && context.credential?.accessToken?.reveal().isEmpty == false)
            let answer = try await context.request("GET", "items")
            return Identity(id: "from-\(answer.status)", label: context.application)
        }) { account in
            let connection = try await account.connect("sandbox-oauth")
            #expect(connection.identity == Identity(id: "from-200", label: "sandbox-oauth"))
        }
    }

    @Test func whatAPluginThrowsArrivesWithItsOwnTextAndAsTheUnderlyingError() async throws {
        try await Self.verifying({ _ in throw Shelf() }) { account in
            let error = try await thrown { _ = try await account.connect("sandbox-oauth") }
            #expect(error.code == .pluginFailed && error.localizedDescription.contains("the shelf is empty"))
            #expect(error.context["plugin"] == "connector sandbox-oauth")
            #expect(error.underlying is Shelf && error.trace?.contains("PluginsTests") == true)
        }
        try await Self.verifying({ _ in throw OnPurpose() }) { account in
            let error = try await thrown { _ = try await account.connect("sandbox-oauth") }
            #expect(error.reason.contains("broken on purpose"))
        }
    }

    @Test func aPluginThatFindsItselfBrokenHasPanicked() async throws {
        try await Self.verifying({ _ in throw PluginPanic("deep") }) { account in
            let error = try await thrown { _ = try await account.connect("sandbox-oauth") }
            #expect(error.code == .pluginPanicked)
        }
    }

    @Test func oneThatRefusesIsTheUsersMatter() async throws {
        try await Self.verifying({ _ in throw Rejected("wrong workspace") }) { account in
            let error = try await thrown { _ = try await account.connect("sandbox-oauth") }
            #expect(error.code == .credentialsRejected && error.reason.contains("wrong workspace"))
        }
    }

    @Test func oneThatHangsIsGivenUpCancelledAndHarmsNobody() async throws {
        let ended = Locked(false)
        try await Self.verifying(
            { _ in
                do { while true { try await Task.sleep(for: .seconds(3600)) } } catch {
                    ended.with { $0 = error is CancellationError }
                    throw error
                }
            }, timings: Timings(plugin: .seconds(1))
        ) { account in
            #expect(try await thrown { _ = try await account.connect("sandbox-oauth") }.code == .pluginTimeout)
            try await until { ended.with { $0 } }
            _ = try await account.connect("sandbox-key", inputs: ["key": Secret("sandbox-key-good"), "workspace": Secret("acme")])
        }
    }

    @Test func aCallThatWouldWaitForItselfIsRefusedAtOnce() async throws {
        let own = Locked(Account?.none)
        let task = Locked(false)
        try await Self.verifying({ context in
            let account = try #require(own.with { $0 })
            if task.with({ $0 }) {
                _ = try await Task { try await account.credential(context.application) }.value
            } else {
                _ = try await account.credential(context.application)
            }
            return nil
        }) { account in
            own.with { $0 = account }
            defer { own.with { $0 = nil } }
            let first = try await thrown { _ = try await account.connect("sandbox-oauth") }
            task.with { $0 = true }
            let second = try await thrown { _ = try await account.connect("sandbox-oauth") }
            #expect(first.code == .reentrant && second.code == .reentrant)
        }
    }

    private struct Failing: WorkflowRunner {
        func run(_ run: WorkflowRun) async throws -> JSON {
            throw SmaltError(.provider, .providerUnreachable, "Nobody is there.", retryAfter: .seconds(3), context: ["host": "x"])
        }
    }

    private static func enabled(_ account: Account) async throws {
        _ = try await account.connect("sandbox-oauth")
        _ = try await account.config("sandbox-oauth")
        _ = try await account.updateConfig("sandbox-oauth", workflows: ["digest": WorkflowUpdate(enabled: true)])
    }

    @Test func anErrorOfSmaltPassesThroughAsItIs() async throws {
        try await Self.with(EmbeddedOptions(project: Self.digest, runner: Failing())) { account in
            try await Self.enabled(account)
            let error = try await thrown { _ = try await account.runWorkflow("sandbox-oauth", workflow: "digest") }
            #expect(error.code == .providerUnreachable && error.reason == "Nobody is there." && error.context["host"] == "x")
            #expect(error.kind == .provider && error.retryAfter == .seconds(3))
        }
    }

    private struct Runner: WorkflowRunner {
        func run(_ run: WorkflowRun) async throws -> JSON {
            .string("\(run.accountID) \(run.workflow) \(run.payload.string ?? "?")")
        }
    }

    @Test func aRunnerRunsWorkflows() async throws {
        try await Self.with(EmbeddedOptions(project: Self.digest, runner: Runner())) { account in
            try await Self.enabled(account)
            #expect(try await account.runWorkflow("sandbox-oauth", workflow: "digest", payload: "7") == "a digest 7")
        }
    }

    private final class Page: Presenter {
        let redirectURI: String? = "http://127.0.0.1:9/callback"
        let says = Locked<SmaltError?>(nil)

        func present(_ page: AuthorizePage) async throws -> URL? {
            #expect(!page.application.isEmpty && page.device == nil && !"\(page)".contains(page.authorizeURL.absoluteString))
            if let said = says.with({ $0 }) { throw said }
            return URL(string: try await Sandbox.visit(page.authorizeURL.absoluteString, as: "grace"))
        }
    }

    @Test func aPresenterOpensThePageAndAClosedOneIsNoCancelledTask() async throws {
        let page = Page()
        let project = Project(version: 1, org: Org(redirectUris: ["http://127.0.0.1:9/callback"]))
        try await Self.with(EmbeddedOptions(project: project, presenter: page), consents: nil) { account in
            #expect(try await account.connect("sandbox-oauth").identity?.label.contains("grace") == true)
            for (said, code) in [(SmaltError.userCancelled, SmaltError.Code.userCancelled), (.windowBlocked, .windowBlocked)] {
                page.says.with { $0 = said }
                let error = try await thrown { _ = try await account.connect("sandbox-oauth") }
                #expect(error.code == code && error.kind == .flow && said.code == code)
                #expect(error.reason == said.reason && error.retry == said.retry && error.httpStatus == said.httpStatus)
            }
        }
    }

    private struct Shifted: KeyProvider {
        let mask: UInt8

        func keyID() async throws -> String { "shifted" }
        func wrap(_ dataKey: Data, aad: Data) async throws -> Data { Data([mask] + dataKey.map { $0 ^ mask }) }
        func unwrap(_ wrapped: Data, keyID: String, aad: Data) async throws -> Data {
            if wrapped.first != mask { throw Rejected("another mask") }
            return Data(wrapped.dropFirst().map { $0 ^ mask })
        }
    }

    @Test func masterKeysComeFromAKeyProvider() async throws {
        try await running {
            let folder = try temporaryFolder()
            defer { try? FileManager.default.removeItem(at: folder) }
            let (path, before) = (folder.appendingPathComponent("smalt.db").path, Homes.shared.open)
            let first = try await Smalt.embedded(path, options: .init(keys: Shifted(mask: 7)))
            try await first.account("kept").ensure()
            await first.close()
            let second = try await Smalt.embedded(path, options: .init(keys: Shifted(mask: 7)))
            #expect(try await second.account("kept").get().id == "kept")
            await second.close()
            let error = try await thrown { _ = try await Smalt.embedded(path, options: .init(keys: Shifted(mask: 8))) }
            #expect(error.code == .keyWrong)
            #expect(Homes.shared.open == before)
        }
    }

    @Test func twoConnectorsOfOneApplicationAreRefused() async throws {
        try await running {
            let acme = Acme(verifying: { _ in nil })
            let error = try await thrown { _ = try await Smalt.embedded(options: .init(connectors: [acme, acme], sandbox: true)) }
            #expect(error.kind == .invalid)
        }
    }

    private struct Presenting: Presenter {
        let name = "window"
        let presenting: @Sendable (AuthorizePage) async throws -> URL?

        func present(_ page: AuthorizePage) async throws -> URL? { try await presenting(page) }
    }

    private static func other(_ account: Account) async throws {
        _ = try await account.connect("sandbox-key", inputs: ["key": Secret("sandbox-key-good"), "workspace": Secret("acme")])
    }

    /// Waits until it is cancelled, and says so.
    private static func hangs(_ ended: Locked<Bool>) async throws {
        do { while true { try await Task.sleep(for: .seconds(3600)) } } catch {
            ended.with { $0 = error is CancellationError }
            throw error
        }
    }

    @Test func aPresenterThatThrowsIsNamedAndHarmsNobody() async throws {
        let presenter = Presenting { _ in throw Shelf() }
        try await Self.with(EmbeddedOptions(presenter: presenter), consents: nil) { account in
            let error = try await thrown { _ = try await account.connect("sandbox-oauth") }
            #expect(error.code == .pluginFailed && error.context["plugin"] == "presenter window")
            #expect(error.reason.contains("the shelf is empty") && error.underlying is Shelf)
            try await Self.other(account)
        }
    }

    @Test func aPresenterThatHangsIsCancelledWithWhoeverWaitsForIt() async throws {
        let (shown, ended) = (Locked(false), Locked(false))
        let presenter = Presenting { _ in
            shown.with { $0 = true }
            try await Self.hangs(ended)
            return nil
        }
        try await Self.with(EmbeddedOptions(presenter: presenter), consents: nil) { account in
            let connect = Task { try await account.connect("sandbox-oauth") }
            try await until { shown.with { $0 } }
            try await Self.other(account)
            connect.cancel()
            await #expect(throws: CancellationError.self) { _ = try await connect.value }
            try await until { ended.with { $0 } }
        }
    }

    private struct Held: KeyProvider {
        let held: @Sendable () async throws -> String

        func keyID() async throws -> String { try await held() }
        func wrap(_ dataKey: Data, aad: Data) async throws -> Data { dataKey }
        func unwrap(_ wrapped: Data, keyID: String, aad: Data) async throws -> Data { wrapped }
    }

    @Test func aKeyProviderThatThrowsEndsTheOpening() async throws {
        try await running {
            let before = Homes.shared.open
            let error = try await thrown { _ = try await Smalt.embedded(options: .init(keys: Held { throw Shelf() })) }
            #expect(error.code == .pluginFailed && error.context["plugin"] == "key provider" && error.underlying is Shelf)
            #expect(Homes.shared.open == before)
        }
    }

    @Test func aKeyProviderThatHangsIsGivenUpByItsDeadlineOrWithTheOpening() async throws {
        try await running {
            let (asked, ended, late) = (Locked(false), Locked(false), Locked(false))
            let before = Homes.shared.open
            let deadline = Task {
                try await thrown {
                    let keys = Held {
                        try await Self.hangs(late)
                        return ""
                    }
                    _ = try await Smalt.embedded(options: .init(keys: keys))
                }
            }
            let keys = Held {
                asked.with { $0 = true }
                try await Self.hangs(ended)
                return ""
            }
            let opening = Task { _ = try await Smalt.embedded(options: .init(keys: keys)) }
            try await until { asked.with { $0 } }
            opening.cancel()
            await #expect(throws: CancellationError.self) { try await opening.value }
            try await until { ended.with { $0 } }
            let error = try await deadline.value
            #expect(error.code == .pluginTimeout && error.context["plugin"] == "key provider")
            try await until { late.with { $0 } && Homes.shared.busy == 0 }
            #expect(Homes.shared.open == before)
        }
    }
}

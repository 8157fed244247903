import Foundation

@testable import Smalt
@testable import SmaltTesting

struct OnPurpose: Error, CustomStringConvertible { let description = "broken on purpose" }

private func behave(_ behaviour: String?) async throws {
    switch behaviour {
    case "throws": throw OnPurpose()
    case "rejects": throw Rejected("refused on purpose")
    case "panics": throw PluginPanic("panics on purpose")
    case "hangs": while true { try await Task.sleep(for: .seconds(3600)) }
    default: return
    }
}

/// A connector whose behaviour a case chooses.
final class Scripted: VerifyingConnector, OptionsConnector {
    let slug: String
    let behaviour = Locked(String?.none)
    let smalt: @Sendable () -> Smalt?

    init(_ slug: String, _ smalt: @escaping @Sendable () -> Smalt?) { (self.slug, self.smalt) = (slug, smalt) }

    func verify(_ context: ConnectorContext) async throws -> Identity? {
        guard let behaviour = behaviour.with({ $0 }) else { return nil }
        try await behave(behaviour)
        if behaviour == "reenters" { _ = try await smalt()?.account(context.accountID).credential(context.application) }
        return Identity(id: behaviour == "nonsense" ? "" : "plugin-1", label: "Plugin")
    }

    func options(_ request: OptionsRequest, _ context: ConnectorContext) async throws -> [FieldOption]? {
        guard let behaviour = behaviour.with({ $0 }) else { return nil }
        try await behave(behaviour)
        if behaviour == "reenters" { _ = try await smalt()?.account(context.accountID).config(context.application) }
        let names = ["one", "two"] + (2..<(behaviour == "nonsense" ? 10_001 : 2)).map { String($0) }
        return names.map { FieldOption(value: .string($0)) }
    }
}

/// A presenter whose behaviour a step chooses. It catches the callback itself, so that the page is the provider's on both backends.
final class ScriptedPresenter: Presenter {
    static let known: Set = ["consents", "closes", "blocked", "throws", "waits"]

    let behaviour = Locked(String?.none)
    /// Whether it waits.
    let shown = Locked(false)
    let name = "scripted"
    let redirectURI: String? = "http://127.0.0.1/callback"

    /// The presenter of a case whose `connect` names one.
    static func of(_ one: Case) -> ScriptedPresenter? {
        let presents = one.steps.contains { $0["do"] == "connect" && $0["args"]?["presenter"] != nil }
        return presents ? ScriptedPresenter() : nil
    }

    func present(_ page: AuthorizePage) async throws -> URL? {
        let behaviour = self.behaviour.with { $0 }
        if behaviour == "closes" { throw SmaltError.userCancelled }
        if behaviour == "blocked" { throw SmaltError.windowBlocked }
        if behaviour == "waits" {
            shown.with { $0 = true }
            try await behave("hangs")
        }
        try await behave(behaviour)
        return URL(string: try await Sandbox.visit(page.authorizeURL.absoluteString, as: "ada"))
    }
}

/// A runner that echoes, or whose behaviour a case chooses.
final class ScriptedRunner: WorkflowRunner {
    let behaviour = Locked(String?.none)

    func run(_ run: WorkflowRun) async throws -> JSON {
        try await behave(behaviour.with { $0 })
        return [
            "account_id": .string(run.accountID), "application": .string(run.application), "config_id": .string(run.configID),
            "workflow": .string(run.workflow), "fields": .object(run.fields), "workflow_fields": .object(run.workflowFields),
            "payload": run.payload,
        ]
    }
}

import Foundation
import SmaltGlue

/// The plugins of one engine.
final class Home: Sendable {
    let number: UInt64
    /// The engine, as soon as it is open; it holds its plugins, so they must not hold it.
    let engine = Locked(Weak<Engine>())
    private let connectors: [String: any Connector]
    private let presenter: (any Presenter)?
    private let keys: (any KeyProvider)?
    private let runner: (any WorkflowRunner)?
    private let tokens: (@Sendable () async throws -> Secret)?

    init(
        connectors: [String: any Connector] = [:],
        presenter: (any Presenter)? = nil,
        keys: (any KeyProvider)? = nil,
        runner: (any WorkflowRunner)? = nil,
        tokens: (@Sendable () async throws -> Secret)? = nil
    ) {
        (self.connectors, self.presenter, self.keys, self.runner, self.tokens) = (connectors, presenter, keys, runner, tokens)
        number = Homes.shared.next()
        Homes.shared.put(self)
    }

    /// What the native half is told of them.
    func described(_ clock: FixedClock?) -> Fields {
        let connectors: [Fields] = self.connectors.values.map { connector in
            ["slug": connector.slug, "manifest": connector.manifest, "methods": methods(connector)]
        }
        let presenter: Fields? = self.presenter.map { ["name": $0.name, "redirect_uri": $0.redirectURI] }
        return [
            "home": number, "connectors": connectors, "presenter": presenter, "keys": keys != nil, "runner": runner != nil,
            "tokens": tokens != nil, "clock": clock?.number,
        ]
    }

    private func methods(_ connector: any Connector) -> [String] {
        var made: [String] = []
        if connector is any VerifyingConnector { made.append("verify") }
        if connector is any OptionsConnector { made.append("options") }
        if connector is any RulesConnector { made.append("rule_columns") }
        if connector is any RevokingConnector { made.append("revoke") }
        return made
    }

    private struct Head: Decodable {
        var plugin: String
        var what: String
        var context: Context?

        struct Context: Decodable {
            var accountID: String
            var application: String
            var credential: Credential?

            enum CodingKeys: String, CodingKey {
                case accountID = "account_id"
                case application, credential
            }
        }
    }

    private struct With<Arguments: Decodable>: Decodable { var arguments: Arguments }

    private struct Page: Decodable {
        var authorizeURL: String
        var redirectURI: String
        var application: String
        var device: DeviceCode?

        enum CodingKeys: String, CodingKey {
            case authorizeURL = "authorize_url"
            case redirectURI = "redirect_uri"
            case application, device
        }
    }

    private struct Sealing: Decodable {
        var keyID: String?
        var dataKey: Data?
        var wrapped: Data?
        var aad: Data

        enum CodingKeys: String, CodingKey {
            case keyID = "key_id"
            case dataKey = "data_key"
            case wrapped, aad
        }
    }

    private struct Unknown: Error, LocalizedError {
        var errorDescription: String? { "this version of the package does not know what it is asked for" }
    }

    private func found<Value>(_ value: Value?) throws -> Value {
        guard let value else { throw Unknown() }
        return value
    }

    /// What a plugin answers, as JSON.
    func asked(_ number: UInt64, _ ask: Data) async throws -> Data {
        let head = try Codec.value(Head.self, ask)
        func arguments<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
            try Codec.value(With<Value>.self, ask).arguments
        }
        func context() throws -> ConnectorContext {
            let its = try found(head.context)
            let engine = engine.with { $0 }
            return ConnectorContext(
                accountID: its.accountID, application: its.application, credential: its.credential, number: number, engine: engine)
        }
        let connector = connectors[head.plugin]
        switch head.what {
        case "verify": return try await Codec.data(found(connector as? any VerifyingConnector).verify(context()))
        case "options": return try await Codec.data(found(connector as? any OptionsConnector).options(arguments(), context()))
        case "rule_columns": return try await Codec.data(found(connector as? any RulesConnector).ruleColumns(arguments(), context()))
        case "revoke": return try await Codec.data(found(connector as? any RevokingConnector).revoke(arguments(), context()))
        case "present":
            let its = try arguments(Page.self)
            let page = AuthorizePage(
                authorizeURL: try found(URL(string: its.authorizeURL)), redirectURI: its.redirectURI, application: its.application,
                device: its.device)
            return try await Codec.data(found(presenter).present(page)?.absoluteString)
        case "key_id": return try await Codec.data(found(keys).keyID())
        case "wrap":
            let its = try arguments(Sealing.self)
            return try await Codec.data(found(keys).wrap(found(its.dataKey), aad: its.aad))
        case "unwrap":
            let its = try arguments(Sealing.self)
            return try await Codec.data(found(keys).unwrap(found(its.wrapped), keyID: found(its.keyID), aad: its.aad))
        case "run": return try await Codec.data(found(runner).run(arguments()))
        case "session_token": return try await Codec.data(found(tokens)())
        default: throw Unknown()
        }
    }
}

/// Calls into plugins: what runs, and what becomes of what they answer.
final class Homes: Sendable {
    static let shared = Homes()

    private struct State {
        var last: UInt64 = 0
        var homes: [UInt64: Home] = [:]
        var running: [UInt64: Task<Void, Never>] = [:]
    }

    private let state = Locked(State())

    /// How many engines have plugins.
    var open: Int { state.with { $0.homes.count } }

    /// How many calls are under way.
    var busy: Int { state.with { $0.running.count } }

    func next() -> UInt64 {
        state.with { state in
            state.last += 1
            return state.last
        }
    }

    func put(_ home: Home) { state.with { $0.homes[home.number] = home } }

    /// Its engine was closed.
    func remove(_ home: Home) { state.with { _ = $0.homes.removeValue(forKey: home.number) } }

    func ask(_ home: UInt64, _ number: UInt64, _ json: Data) {
        state.with { state in
            let home = state.homes[home]
            // The task ends in this lock, so it is known before it can be over.
            state.running[number] = Within.$number.withValue(number) {
                Task {
                    let answer = await self.answer(home, number, json)
                    self.state.with { _ = $0.running.removeValue(forKey: number) }
                    _ = try? hostAnswer(port: Port.shared.number, number: number, answer: answer)
                }
            }
        }
    }

    func forget(_ number: UInt64) { state.with { $0.running.removeValue(forKey: number) }?.cancel() }

    private func answer(_ home: Home?, _ number: UInt64, _ json: Data) async -> Data {
        do {
            guard let home else { return failed("the engine that has this plugin was closed") }
            return try await Data(#"{"end":"value"}"#.utf8) + home.asked(number, json)
        } catch let rejected as Rejected {
            return end(["end": "rejected", "message": rejected.message])
        } catch let passing as SmaltError {
            return end(["end": "error", "error": passing.wire])
        } catch is CancellationError {
            // Nobody waits any more; or the plugin's own doing, which is a fault.
            return failed("it was cancelled")
        } catch {
            let message = (error as? any LocalizedError)?.errorDescription ?? String(describing: error)
            let trace = "\(String(reflecting: type(of: error))): \(message)"
            Causes.shared.keep(trace, error)
            return end(["end": error is PluginPanic ? "panicked" : "failed", "message": message, "trace": trace])
        }
    }

    private func failed(_ message: String) -> Data { end(["end": "failed", "message": message]) }

    private func end(_ fields: Fields) -> Data { (try? Codec.data(fields)) ?? Data(#"{"end":"failed","message":"?","trace":null}"#.utf8) }
}

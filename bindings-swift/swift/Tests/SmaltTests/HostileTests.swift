import Foundation
import Testing

@testable import Smalt

/// Values that nobody should pass, and secrets that nobody should see.
@Suite(.serialized) struct HostileTests {
    @Test func strangeTextsAreRefusedOrKeptAndNeverBreakAnything() async throws {
        try await sandboxed { smalt in
            let strange = [
                "", " ", "a/b", "../x", "\u{0}", "a\u{0}b", "\"\\\n\r\t", #"{"op":"close"}"#, "é😀", "\u{FEFF}a", "\u{202E}abc", "\u{FFFF}",
                String(repeating: "x", count: 1_000_000),
            ]
            for id in strange {
                do {
                    let made = try await smalt.createAccount(id)
                    #expect(made.id == id)
                    try await smalt.account(made.id).delete()
                } catch let refused as SmaltError {
                    #expect(refused.kind == .invalid, "\(refused)")
                }
            }
            try await smalt.account("fine").ensure()
            let name = "\"é😀\\ \n \u{2028}/"
            #expect(try await smalt.upsertAccount("fine", name: name).account.name == name)
        }
    }

    @Test func strangeNumbersAndDeepValuesAreRefusedInWords() async throws {
        try await sandboxed { smalt in
            let account = smalt.account("a")
            try await account.ensure()
            _ = try await account.connect("sandbox-oauth")
            _ = try await account.config("sandbox-oauth")
            var deep: JSON = 1
            for _ in 0..<300 { deep = [deep] }
            for value in [deep, .number(.nan), .number(.infinity)] {
                let refused = try await thrown { _ = try await account.updateConfig("sandbox-oauth", fields: ["greeting": value]) }
                #expect(refused.kind == .invalid, "\(refused)")
            }
            #expect(try await thrown { _ = try await smalt.listAccounts(limit: -1) }.kind == .invalid)
            #expect(try await thrown { _ = try await smalt.listAccounts(limit: .max) }.kind == .invalid)
            #expect(try await thrown { try await smalt.handle.tell("no_such", [:]) }.kind == .unsupported)
            #expect(try await thrown { _ = try await smalt.timeout(.seconds(-1)).countAccounts() }.kind == .invalid)
            _ = try await account.config("sandbox-oauth")
        }
    }

    @Test func s41_secretsDoNotShowThemselves() async throws {
        let text = "sk-very-secret-4711"
        let secret = Secret(text)
        #expect(!everything(secret).contains(text))
        #expect(!everything([secret]).contains(text) && !everything(["a": secret]).contains(text))
        #expect(secret == Secret(text) && secret != Secret("other") && secret != Secret(text + "x"))
        #expect(throws: EncodingError.self) { try JSONEncoder().encode([secret]) }
        do { _ = try JSONEncoder().encode(secret) } catch { #expect(!everything(error).contains(text)) }
        try await sandboxed { smalt in
            let account = smalt.account("a")
            try await account.ensure()
            let refused = try await thrown {
                _ = try await account.connect("sandbox-key", inputs: ["key": secret, "workspace": Secret("acme")])
            }
            #expect(!reveals(refused, text))
            let started = try await account.startConnect("sandbox-oauth", redirectURI: "http://127.0.0.1:9/callback")
            #expect(!everything(started).contains(started.cookie.value.reveal()))
            #expect(!everything(started).contains(started.authorizeURL))
            _ = try await account.connect("sandbox-oauth")
            let credential = try await account.credential("sandbox-oauth")
            let token = try #require(credential.accessToken).reveal()
            #expect(!everything(credential).contains(token))
            let authorization = try #require(credential.authorization)
            #expect(authorization.reveal() == "Bearer \(token)" && !everything(authorization).contains(token))
            let session = try await account.session()
            #expect(!everything(session).contains(session.token.reveal()))
            #expect(!everything(try await session.info()).contains(session.token.reveal()))
            let answer = try await account.request("sandbox-oauth", "GET", "items")
            #expect(answer.ok && !everything(answer).contains(answer.text) && answer.text.count > 10)
        }
    }

    /// Whether what stands wherever a secret could in bindings-swift/shown.json is there, as text or as bytes.
    private func shows(_ text: String) -> Bool {
        text.contains("canary-4711") || text.contains(Data("canary-4711".utf8).base64EncodedString())
    }

    @Test func s41_noTypeThatHoldsASecretShowsIt() throws {
        let file = repository.appendingPathComponent("bindings-swift/shown.json")
        let json = try JSONDecoder().decode(JSON.self, from: Data(contentsOf: file))
        let samples = try #require(json.object)
        #expect(samples.count >= 20 && Set(samples.keys) == Set(holders.keys))
        for (name, sample) in samples {
            let read = try #require(holders[name])
            let value = try read(try JSONEncoder().encode(sample))
            // It is in it: what goes to the core has it.
            let held = String(decoding: try Codec.data(value), as: UTF8.self)
            #expect(shows(held), "\(name) holds nothing")
            for shown in [everything(value), everything([value]), everything(["a": value]), everything(Optional.some(value) as Any)] {
                #expect(!shows(shown), "\(name): \(shown)")
            }
        }
    }

    @Test func s41_whatPluginsAreAskedWithHidesWhatTheListSays() throws {
        let file = repository.appendingPathComponent("docs/schema/bridge-1.json")
        let list = try #require(try JSONDecoder().decode(JSON.self, from: Data(contentsOf: file))["hidden"])
        let said = "canary-4711"
        let page = try #require(URL(string: "https://app.example/\(said)"))
        let code = DeviceCode(userCode: said, verificationURI: "page", verificationURIComplete: said)
        let asked: [String: Any] = [
            "OptionsRequest": OptionsRequest(field: "field", source: "source", workflow: nil, parentValue: .string(said), search: said),
            "RuleRequest": RuleRequest(field: "field", workflow: nil, lhs: .string(said)),
            "WorkflowRun": WorkflowRun(
                accountID: "a", application: "b", configID: "c", workflow: "w", fields: ["a": .string(said)],
                workflowFields: ["a": .string(said)], payload: .string(said)),
            "PresentRequest": AuthorizePage(authorizeURL: page, redirectURI: "redirect", application: "app", device: code),
            "DevicePrompt": code,
        ]
        let named = ["authorize_url": "authorizeURL", "verification_uri_complete": "verificationURIComplete"]
        for (name, value) in asked {
            let shown = everything(value)
            #expect(!shows(shown), "\(name): \(shown)")
            for member in try #require(list[name]?.array).compactMap(\.string) {
                let words = member.split(separator: "_")
                let own = named[member] ?? words[0] + words.dropFirst().map(\.capitalized).joined()
                #expect(shown.contains("\(own): …"), "\(name): \(shown)")
            }
        }
        // Nothing is shown as such.
        let nothing = OptionsRequest(field: "f", source: "s", workflow: nil, parentValue: nil, search: nil)
        #expect("\(nothing)" == "OptionsRequest(field: f, source: s, workflow: nil, parentValue: nil, search: nil)")
        #expect("\(RuleRequest(field: "f", workflow: nil, lhs: .null))" == "RuleRequest(field: f, workflow: nil, lhs: nil)")
        let prompt = DevicePrompt(userCode: "c", verificationURI: "page", interval: 5)
        #expect("\(prompt)" == "DevicePrompt(userCode: …, verificationURI: page, interval: 5, verificationURIComplete: nil)")
    }

    @Test func optionsThatExcludeEachOtherAreRefusedBeforeAnythingIsOpened() async throws {
        try await running {
            let before = (Engine.open.with { $0 }, Homes.shared.open)
            let two = try await thrown { _ = try await Smalt.embedded(options: .init(key: Smalt.makeKey(), keyFile: "x")) }
            #expect(two.kind == .invalid && two.reason.contains("master key"))
            #expect(try await thrown { _ = try await Smalt.embedded(options: .init(key: Secret("no key"))) }.kind == .configuration)
            let projects = try await thrown { _ = try await Smalt.embedded(options: .init(projectFile: "x", project: Project(version: 1))) }
            #expect(projects.kind == .invalid)
            let http = try #require(URL(string: "http://example.com"))
            #expect(try await thrown { _ = try Smalt.remote(http, apiKey: Secret("tk1")) }.kind == .invalid)
            let ftp = try #require(URL(string: "ftp://example.com"))
            #expect(try await thrown { _ = try Session(server: ftp, token: Secret("t")) }.kind == .invalid)
            #expect(try await thrown { _ = try Session(server: ftp) { Secret("t") } }.kind == .invalid)
            #expect(Engine.open.with { $0 } == before.0 && Homes.shared.open == before.1)
        }
    }

    @Test func valuesAreCodable() throws {
        let project = Project(
            version: 1,
            apps: ["slack": AppSettings(client: ["test": Client(id: "1", secret: .env("SECRET"))], workflows: [.init(id: "w", name: "W")])])
        let data = try JSONEncoder().encode(project)
        #expect(try JSONDecoder().decode(Project.self, from: data) == project)
        #expect(try JSONDecoder().decode(Project.self, from: Data(#"{"version": 1, "more": true}"#.utf8)) == Project(version: 1))
        let timings = Timings(provider: .milliseconds(1500), ahead: nil)
        let back = try JSONDecoder().decode(Timings.self, from: JSONEncoder().encode(timings))
        #expect(back == timings && back.ahead == nil)
        #expect(try JSONDecoder().decode(SmaltEnvironment.self, from: Data(#""later""#.utf8)) == .unknown)
        let value: JSON = ["a": [1, 2.5, "x", true, nil], "b": ["c": -7]]
        #expect(try JSONDecoder().decode(JSON.self, from: JSONEncoder().encode(value)) == value)
        #expect(value["a"]?[1]?.double == 2.5 && value["b"]?["c"]?.int == -7 && value["a"]?[9] == nil)
    }

    @Test func timesKeepTheirMilliseconds() throws {
        for millis in [0, 1, 999, 1_000, 951_782_399_999, 951_782_400_123, 1_792_843_260_001, -1, -62_135_596_800_000, 253_402_300_799_999]
        {
            let date = Date(timeIntervalSince1970: Double(millis) / 1000)
            #expect(Time.date(Time.text(date)).map(Time.millis) == millis, "\(Time.text(date))")
        }
        #expect(Time.text(Date(timeIntervalSince1970: 951_827_696.007)) == "2000-02-29T12:34:56.007Z")
        #expect(Time.date("2024-03-01T00:00:00Z") == Date(timeIntervalSince1970: 1_709_251_200))
        for strange in ["", "2024", "2024-13-01T00:00:00Z", "2024-03-01T00:00:00", "2024-03-01T00:00:00.Z", "٢٠٢٤-03-01T00:00:00.000Z"] {
            #expect(Time.date(strange) == nil || strange.hasSuffix(".Z"), "\(strange)")
        }
    }

    private func everything(_ value: Any) -> String {
        var dumped = ""
        dump(value, to: &dumped)
        return "\(value) \(String(reflecting: value)) \(String(describing: Mirror(reflecting: value).children.map(\.value))) \(dumped)"
    }
}

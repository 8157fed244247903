import Foundation

@testable import Smalt
@testable import SmaltTesting

/// What the operations table keeps to embedded engines; see docs/operations.md.
private let embeddedOnly: Set = ["rotate_keys", "set_project"]

/// What is done where the engine is.
private let hostVerbs: Set = ["advance", "restart", "register_connector", "register_runner", "search_store"]

/// What is called with JSON by hand, since the types have no room for what a case asks; and how often a typed method was called.
let rawCalls = Locked([String: String]())
let typedCalls = Locked(0)

let nothing: JSON = [:]

/// What one case runs in.
protocol World: Sendable {
    var smalt: Smalt { get throws }
    var origin: String { get }
    var clock: FixedClock? { get }
    var presenter: ScriptedPresenter? { get }
    var room: URL { get }

    func end() async

    /// Does a verb of the driver's own where the engine is.
    func host(_ verb: String, _ args: Args) async throws -> JSON

    /// A backend that does not have an operation refuses it; then the engine does it.
    func elsewhere(_ verb: String, _ token: Secret?, _ args: Args, _ call: () async throws -> JSON) async throws -> JSON
}

extension World {
    var clock: FixedClock? { nil }
    var presenter: ScriptedPresenter? { nil }

    var given: Args { ["keys": .string(room.appendingPathComponent("keys").path), "sandbox": .string(origin)] }

    func elsewhere(_ verb: String, _ token: Secret?, _ args: Args, _ call: () async throws -> JSON) async throws -> JSON {
        try await call()
    }

    func perform(_ verb: String, _ authority: JSON?, _ args: Args) async throws -> JSON {
        if hostVerbs.contains(verb) { return try await host(verb, args) }
        if let done = try await own(verb, args) { return done }
        var kept = args.filter { $0.value != .null || $0.key == "value" }
        if verb == "set_project" { kept["project"] = merge(kept["project"], ["sandbox": ["url": .string(origin)]]) }
        let given = kept
        if authority == nil || authority == "organisation" {
            return try await elsewhere(verb, nil, args) { try await organisation(verb, given) }
        }
        let account = (kept["account"] ?? kept["id"])?.string ?? ""
        let session: Session
        if authority == "session" {
            session = try await smalt.account(account).session()
        } else if let token = authority?["token"]?.string, authority?.object?.count == 1 {
            session = try smalt.session(Secret(token), accountID: account)
        } else {
            throw Mistake("there is no authority `\(authority ?? .null)`")
        }
        return try await elsewhere(verb, session.token, args) { try await asSession(session, verb, given) }
    }

    private func organisation(_ verb: String, _ args: Args) async throws -> JSON {
        let smalt = try smalt
        var args = args
        let raw = rawRequest(verb, args)
        switch verb {
        case "create_account", "upsert_account":
            args["id"] = args.removeValue(forKey: "account")
            args.merge(args.removeValue(forKey: "update")?.object ?? [:]) { $1 }
            return try await typed(smalt.handle, verb, args, raw) { try await callSmalt(verb, smalt, $0) }
        case "events":
            return try await typed(smalt.handle, verb, args, raw) { args in
                try args.only(["since", "limit", "wait"])
                return try plain(
                    await smalt.eventsPage(
                        since: try args.read("since", String?.self, nil), limit: try args.read("limit", Int?.self, nil),
                        wait: try args.read("wait", Duration?.self, nil)))
            }
        case "set_project":
            return try await typed(smalt.handle, verb, args, args["project"] ?? nothing) { args in
                try await smalt.setProject(try args.read("project", Project.self))
                return nothing
            }
        case "update_webhook":
            args.merge(args.removeValue(forKey: "settings")?.object ?? [:]) { $1 }
            return try await typed(smalt.handle, verb, args, raw) { try await callSmalt(verb, smalt, $0) }
        default:
            guard let id = args["account"]?.string, verb != "get_account", verb != "delete_account" else {
                return try await typed(smalt.handle, verb, args, raw) { try await callSmalt(verb, smalt, $0) }
            }
            let account = smalt.account(id)
            args["account"] = nil
            return try await shared(account, verb, args, raw) { try await callAccount(verb, account, $0) }
        }
    }

    private func asSession(_ session: Session, _ verb: String, _ args: Args) async throws -> JSON {
        let raw = verb == "set_project" ? args["project"] ?? nothing : rawRequest(verb, args)
        // Verbs that a session does not have at all: the core's refusal is what the case is about.
        guard args["account"] != nil else { return try await byHand(session.handle, verb, raw) }
        var args = args
        args["account"] = nil
        return try await shared(session, verb, args, raw) { _ in nil }
    }

    private func shared(
        _ linked: any Linked,
        _ verb: String,
        _ args: Args,
        _ raw: JSON,
        _ more: (Arguments) async throws -> JSON?
    ) async throws -> JSON {
        var args = args
        if verb == "wait_flow" && args["timeout"] == nil { args["timeout"] = 30 }
        if verb == "update_config" { args.merge(args.removeValue(forKey: "update")?.object ?? [:]) { $1 } }
        if let workflows = args["workflows"]?.object { args["workflows"] = .object(workflows.mapValues(enabled)) }
        if let seed = args["seed"]?.object, let workflows = seed["workflows"]?.object {
            args["seed"] = .object(seed.merging(["workflows": .object(workflows.mapValues(enabled))]) { $1 })
        }
        if let account = linked as? Account, let done = try await requested(account, verb, Arguments(args)) { return done }
        return try await typed(linked.handle, verb, args, raw) { args in
            if let done = try await callLinked(verb, linked, args) { return done }
            return try await more(args)
        }
    }

    /// A workflow's switch may be written without its name.
    private func enabled(_ update: JSON) -> JSON { update.bool == nil ? update : ["enabled": update] }

    /// What is written by hand in the package.
    private func requested(_ account: Account, _ verb: String, _ args: Arguments) async throws -> JSON? {
        let connection = args.own["connection"]?.string
        if verb == "credential" {
            try args.only(["application", "connection"])
            typedCalls.with { $0 += 1 }
            return try plain(await account.credential(try args.read("application", String.self), connection: connection))
        }
        guard verb == "request" || verb == "request_page" || verb == "upload" else { return nil }
        let (application, method) = (try args.read("application", String.self), try args.read("method", String.self))
        let path = try args.read("path", String.self)
        func texts(_ name: String) throws -> [String: String] { try args.read(name, Args.self, [:]).mapValues { words($0) } }
        let (query, headers, body) = (try texts("query"), try texts("headers"), args.own["json"].map { Body.json($0) })
        let (timeout, maxBody) = (try args.read("timeout", Duration?.self, nil), try args.read("max_body", Int?.self, nil))
        let known: Set = ["application", "method", "path", "query", "headers", "json", "connection", "timeout", "max_body"]
        typedCalls.with { $0 += 1 }
        if verb == "upload" {
            try args.only(known.subtracting(["json"]).union(["content_type", "length", "parts"]))
            let parts = try args.read("parts", [String].self)
            let body = AsyncStream { body in
                for part in parts { body.yield(Data(part.utf8)) }
                body.finish()
            }
            let answer = try await account.upload(
                application, method, path, body: body, contentType: try args.read("content_type", String.self),
                length: try args.read("length", Int?.self, nil), query: query, headers: headers, connection: connection, timeout: timeout,
                maxBody: maxBody)
            return response(answer)
        }
        if verb == "request" {
            try args.only(known)
            let answer = try await account.request(
                application, method, path, query: query, headers: headers, body: body, connection: connection, timeout: timeout,
                maxBody: maxBody)
            return response(answer)
        }
        try args.only(known.union(["cursor", "pagination"]))
        let page = try await account.requestPage(
            application, method, path, cursor: try args.read("cursor", String?.self, nil),
            pagination: try args.read("pagination", Pagination?.self, nil), query: query, headers: headers, body: body,
            connection: connection,
            timeout: timeout, maxBody: maxBody)
        return ["answer": response(page.answer), "items": .array(page.items), "next": page.next.map { .string($0) } ?? .null]
    }

    private func response(_ answer: ApiAnswer) -> JSON {
        let headers = Dictionary(answer.headers.map { ($0.name, JSON.string($0.value)) }) { $1 }
        return ["status": .integer(answer.status), "headers": .object(headers), "json": (try? answer.decode(JSON.self)) ?? .null]
    }

    /// As it would be written by hand.
    private func rawRequest(_ verb: String, _ args: Args) -> JSON {
        guard verb == "create_account" || verb == "upsert_account" else { return .object(args) }
        var args = args
        args["id"] = args.removeValue(forKey: "account")
        return .object(args)
    }

    private func typed(
        _ handle: Handle,
        _ verb: String,
        _ args: Args,
        _ raw: JSON,
        _ call: (Arguments) async throws -> JSON?
    ) async throws -> JSON {
        do {
            guard let answer = try await call(Arguments(args)) else { throw Unfit("there is no `\(verb)`") }
            typedCalls.with { $0 += 1 }
            return told(verb, answer)
        } catch let unfit as Unfit {
            // A request that the types have no room for.
            rawCalls.with { $0[verb] = unfit.description }
            return try await byHand(handle, verb, raw)
        }
    }

    private func byHand(_ handle: Handle, _ verb: String, _ raw: JSON) async throws -> JSON {
        told(verb, try Codec.value(JSON.self, await handle.answer(verb, raw)))
    }

    /// The answer as the cases have it.
    private func told(_ verb: String, _ answer: JSON) -> JSON {
        guard var its = answer.object else { return answer == .null && verb != "run_workflow" ? nothing : answer }
        for inner in ["account", "info", "webhook"] {
            guard let flat = its[inner]?.object, its["is_new"] != nil || its["key"] != nil || its["secret"] != nil else { continue }
            its[inner] = nil
            its.merge(flat) { one, _ in one }
        }
        if verb == "portal_url", let url = its["url"]?.string {
            its["ticket"] = .string(String(url.split(separator: "/").last?.split(separator: "?").first ?? ""))
        }
        return .object(its)
    }

    // The driver's own verbs.

    private func own(_ verb: String, _ args: Args) async throws -> JSON? {
        switch verb {
        case "sandbox":
            let answer = try await Sandbox.fetch(origin + "/control", args["control"] ?? .null)
            if answer["ok"] != true { throw Mistake("the sandbox refused the order: \(written(answer))") }
            return nothing
        case "stats": return try await Sandbox.fetch(origin + "/stats")["stats"]
        case "inbox": return try await Sandbox.fetch(origin + "/inbox/\(args["name"]?.string ?? "")")["received"]
        case "visit":
            var added = [("sandbox_user", args["user"]?.string ?? "ada"), ("sandbox_decision", args["decision"]?.string ?? "allow")]
            if let browser = args["browser"]?.string { added.append(("sandbox_browser", browser)) }
            let callback = try await Sandbox.visit(args["url"]?.string ?? "", added.map { (key: $0.0, value: $0.1) })
            let params = Dictionary(query(callback).map { ($0.key, JSON.string($0.value)) }) { $1 }
            return ["callback_url": .string(callback), "params": .object(params)]
        case "open": return try await opened(args)
        case "connect":
            try known(args, ["account", "application", "presenter", "timeout", "cancel"])
            if let behaviour = args["presenter"]?.string {
                guard ScriptedPresenter.known.contains(behaviour), let presenter else {
                    throw Mistake("there is no behaviour `\(behaviour)`")
                }
                presenter.behaviour.with { $0 = behaviour }
            }
            let (account, application) = (try smalt.account(args["account"]?.string ?? ""), args["application"]?.string ?? "")
            let timeout = args["timeout"]?.double.map { Duration.seconds($0) }
            if args["cancel"] == true { return try await cancelled { try await account.connect(application, timeout: timeout) } }
            return try plain(await account.connect(application, timeout: timeout))
        case "tamper_url":
            let parts = (args["url"]?.string ?? "").components(separatedBy: "#")
            let set = args["set"]?.object ?? [:]
            let kept = query(parts[0]).filter { set[$0.key] == nil }
            let added = set.filter { $0.value != .null }.map { (key: $0.key, value: words($0.value)) }
            let address = parts[0].components(separatedBy: "?")[0] + "?" + formEncoded(kept + added)
            return ["url": .string(address + (parts.count > 1 ? "#" + parts[1] : ""))]
        case "verify_webhook": return try verifyWebhook(args)
        default: return nil
        }
    }

    /// Whoever goes away in Swift cancels the task.
    private func cancelled(_ connect: @escaping @Sendable () async throws -> Connection) async throws -> JSON {
        guard let presenter else { throw Mistake("nobody shows a page") }
        presenter.shown.with { $0 = false }
        let over = Locked(false)
        let caller = Task {
            defer { over.with { $0 = true } }
            return try await connect()
        }
        while !presenter.shown.with({ $0 }), !over.with({ $0 }) { try await Task.sleep(for: .milliseconds(10)) }
        caller.cancel()
        let ended = await caller.result
        guard case .failure(let error) = ended, error is CancellationError else { throw Broken("whoever went away was told \(ended)") }
        throw SmaltError(.cancelled, .cancelled, "The caller went away.")
    }

    private func known(_ args: Args, _ names: Set<String>) throws {
        if let strange = args.keys.first(where: { !names.contains($0) }) { throw Mistake("there is no argument `\(strange)`") }
    }

    /// An engine of this process, beside the case's, and closed at once: whether it opens.
    private func opened(_ args: Args) async throws -> JSON {
        try known(args, ["key", "store", "manifests"])
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = args["store"]?.string.map { folder.appendingPathComponent($0) }
        if let path {
            try FileManager.default.copyItem(at: room.appendingPathComponent("stores/\(path.lastPathComponent)"), to: path)
        }
        let manifests = try (args["manifests"]?.array ?? []).map { try AppManifest($0) }
        let options = EmbeddedOptions(key: args["key"]?.string.map { Secret($0) }, manifests: manifests)
        let opened = try await Smalt.embedded(path?.path, options: options)
        await opened.close()
        return nothing
    }

    private func query(_ url: String) -> [(key: String, value: String)] {
        guard let query = url.components(separatedBy: "#")[0].split(separator: "?", maxSplits: 1).dropFirst().first else { return [] }
        func decoded(_ text: Substring) -> String { text.replacing("+", with: " ").removingPercentEncoding ?? "" }
        return query.split(separator: "&").map { pair in
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return (decoded(parts[0]), parts.count > 1 ? decoded(parts[1]) : "")
        }
    }

    private func verifyWebhook(_ args: Args) throws -> JSON {
        let headers = (args["headers"]?.object ?? [:]).mapValues { words($0) }
        let secrets = (args["secrets"]?.array ?? []).map { Secret(words($0)) }
        let body = args["body"]?.string ?? ""
        if args["compatible"] == true {
            try Webhooks.verifyCompatible(signature: headers["x-cobalt-signature"] ?? "", body: body, secrets: secrets)
            return nothing
        }
        let now = args["now"]?.string.flatMap { Time.date($0) } ?? clock?.now
        let tolerance = args["tolerance"]?.double.map { Duration.seconds($0) }
        return try plain(Webhooks.verify(headers: headers, body: body, secrets: secrets, tolerance: tolerance, now: now))
    }

    /// What an operation that is refused here is refused with, and what its engine does with it.
    func refused(_ verb: String, _ call: () async throws -> JSON, _ order: () async throws -> JSON) async throws -> JSON {
        guard embeddedOnly.contains(verb) else { return try await call() }
        do {
            _ = try await call()
        } catch let error as SmaltError {
            if error.code != .unsupported || !error.reason.contains("embedded") {
                throw Broken("expected `unsupported` of a remote backend, got \(error)")
            }
            return try await order()
        }
        throw Broken("a remote backend offers what the table keeps to embedded engines")
    }
}

/// Runs each case in a world of its own, so many at once; why those do not hold that do not, by their ids.
func failures(
    of cases: [Case],
    atOnce: Int,
    limit: @escaping @Sendable (Case) -> Duration,
    in open: @escaping @Sendable (Case) async throws -> any World
) async -> [String: String] {
    await withTaskGroup(of: (String, String)?.self) { group in
        var failed: [String: String] = [:]
        for (index, one) in cases.enumerated() {
            if index >= atOnce, let ended = await group.next(), let (id, why) = ended { failed[id] = why }
            group.addTask { await failure(of: one, limit(one), open) }
        }
        for await ended in group { if let (id, why) = ended { failed[id] = why } }
        return failed
    }
}

private func failure(
    of one: Case, _ limit: Duration, _ open: @Sendable (Case) async throws -> any World
) async -> (String, String)? {
    do {
        let world = try await open(one)
        do {
            try await within(limit) { try await run(one, world) }
        } catch {
            await world.end()
            throw error
        }
        await world.end()
        return nil
    } catch {
        return (one.id, "\(type(of: error)): \(error)")
    }
}

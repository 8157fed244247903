import Foundation
import SmaltGlue
import Testing

@testable import Smalt
@testable import SmaltTesting

/// How calls begin, wait and end. The counters of the whole process are looked at, so these run one after the other (`--no-parallel`).
@Suite(.serialized) struct CallsTests {
    /// A call that waits for events that do not come.
    private static func waits(_ smalt: Smalt) async throws -> @Sendable () async throws -> Void {
        let last = try await smalt.eventsPage().items.last?.cursor
        return { _ = try await smalt.eventsPage(since: last, wait: .seconds(600)) }
    }

    @Test func aCancelledTaskSendsNothing() async throws {
        try await sandboxed { smalt in
            let task = Task {
                // Cancelled while it stands here.
                while !Task.isCancelled { await Task.yield() }
                _ = try await smalt.createAccount("never")
            }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            let count = try await smalt.countAccounts()
            #expect(count == 0)
            #expect(try await thrown { _ = try await smalt.account("never").get() }.code == .linkedAccountNotFound)
        }
    }

    @Test func cancellingEndsTheWaiterAtOnceAndTheCallInTheCore() async throws {
        try await sandboxed { smalt in
            let before = Port.shared.pending
            let waits = try await Self.waits(smalt)
            let waiting = Task { try await waits() }
            try await until { Port.shared.pending == before + 1 }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            // The waiter ends by the core's word that the call has.
            #expect(Port.shared.pending == before)
            try await smalt.account("goes-on").ensure()
        }
    }

    @Test func cancellingAfterTheEndChangesNothing() async throws {
        try await sandboxed { smalt in
            let done = Task { try await smalt.account("c").ensure() }
            let made = try await done.value
            #expect(made.id == "c")
            done.cancel()
            #expect(try await done.value.id == "c")
            #expect(try await smalt.account("c").get().id == "c")
        }
    }

    @Test func cancellingAtAnyMomentLeavesNothing() async throws {
        try await sandboxed { smalt in
            try await smalt.account("a").ensure()
            for number in 0..<size(300, 3000) {
                let call = Task { try await smalt.account("a").get() }
                for _ in 0..<(number % 7) { await Task.yield() }
                call.cancel()
                do { #expect(try await call.value.id == "a") } catch is CancellationError {}
            }
            try await until { Port.shared.pending == 0 }
        }
    }

    @Test func aTimeOfTheHandleIsAnError() async throws {
        try await sandboxed { smalt in
            let waits = try await Self.waits(smalt.timeout(.milliseconds(50)))
            let late = try await thrown { try await waits() }
            #expect(late.code == .outcomeUnknown && late.kind == .timeout)
            let account = smalt.account("a")
            try await account.ensure()
            #expect(try await account.timeout(.seconds(60)).get().id == "a")
        }
    }

    @Test func aTimeOfTheCallersIsACancellation() async throws {
        try await sandboxed { smalt in
            let waits = try await Self.waits(smalt)
            await #expect(throws: TookTooLong.self) { try await within(.milliseconds(50)) { try await waits() } }
            try await until { Port.shared.pending == 0 }
        }
    }

    @Test func tenThousandCallsAtOnce() async throws {
        try await sandboxed { smalt in
            for number in 0..<10 { try await smalt.account("c-\(number)").ensure() }
            let right = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<10_000 {
                    group.addTask { try await smalt.account("c-\(number % 10)").get().id == "c-\(number % 10)" }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(right == 10_000)
        }
    }

    @Test func thousandsThatWaitAreCancelled() async throws {
        try await running {
            // They look at the store every now and then, which is not what this is about.
            var options = EmbeddedOptions(sandbox: true, timings: Timings(poll: .seconds(60)))
            options.throwawayKey = true
            let smalt = try await Smalt.embedded(options: options)
            let (before, many) = (Port.shared.pending, size(2_000, 10_000))
            let waits = try await Self.waits(smalt)
            let all = (0..<many).map { _ in Task { try await waits() } }
            try await until { Port.shared.pending == before + many }
            for waiting in all { waiting.cancel() }
            for waiting in all { await #expect(throws: CancellationError.self) { try await waiting.value } }
            #expect(Port.shared.pending == before)
            await smalt.close()
        }
    }

    @Test func manyEndsComeWithFewWakeUps() async throws {
        try await running {
            var options = EmbeddedOptions(sandbox: true, timings: Timings(poll: .seconds(60)))
            options.throwawayKey = true
            let smalt = try await Smalt.embedded(options: options)
            let before = Port.shared.pending
            let waits = try await Self.waits(smalt)
            let all = (0..<1_000).map { _ in Task { try await waits() } }
            try await until { Port.shared.pending == before + 1_000 }
            let start = Port.shared.counts
            let ended = try portEnded(port: Port.shared.number)
            Port.shared.held {
                for waiting in all { waiting.cancel() }
                // The core ends them meanwhile. Nothing that is held can be suspended; where they never end, it goes on all the same.
                var looks = 60_000
                while looks > 0, ((try? portEnded(port: Port.shared.number)) ?? 0) < ended + 1_000 {
                    usleep(1_000)
                    looks -= 1
                }
            }
            #expect(try portEnded(port: Port.shared.number) >= ended + 1_000)
            for waiting in all { await #expect(throws: CancellationError.self) { try await waiting.value } }
            let (wakes, ends) = (Port.shared.counts.wakes - start.wakes, Port.shared.counts.ends - start.ends)
            #expect(ends >= 1_000)
            #expect(wakes <= ends / 2, "\(wakes) wake-ups for \(ends) ends")
            await smalt.close()
        }
    }

    // Apple's systems have a released library here, and that has no such call.
    #if os(Linux)
        @Test func aPeerThatHangsUpDoesNotEndTheProcess() async throws {
            try await sandboxed { smalt in
                var ends: [Int32] = [-1, -1]
                #expect(pipe(&ends) == 0)
                close(ends[0])
                #expect(write(ends[1], "x", 1) == -1 && errno == EPIPE)
                close(ends[1])
                try await smalt.account("goes-on").ensure()
            }
        }

        @Test func s77_aPanicBecomesAnErrorAndNothingElseIsHarmed() async throws {
            try await sandboxed { smalt in
                let error = try await thrown { try await smalt.handle.tell("panic", [:]) }
                #expect(error.code == .internal && error.reason.contains("panicked"))
                try await smalt.account("goes-on").ensure()
            }
        }

        /// With arguments that mean nothing, by the glue itself. The native half lets the next call of this thread panic.
        @Test func s77_aPanicInAnyFunctionOfTheGlueIsAnErrorOrNothing() throws {
            let none = Data()
            let raised: [String: () throws -> Any] = [
                "call_start": { try callStart(engine: 0, number: 0, call: none) },
                "engine_capabilities": { try engineCapabilities(engine: 0) },
                "seat_take": { try seatTake(engine: 0, call: none) },
                "host_answer": { try hostAnswer(port: 0, number: 0, answer: none) },
                "open_embedded": { try openEmbedded(port: 0, number: 0, options: none) },
                "open_remote": { try openRemote(port: 0, options: none) },
                "open_session": { try openSession(port: 0, options: none) },
                "port_take": { try portTake(port: 0, wait: 0) },
                "port_ended": { try portEnded(port: 0) },
                "call_cancel": { try callCancel(port: 0, number: 0) },
                "clock_advance": { try clockAdvance(clock: 0, millis: 0) },
                "sandbox_start": { try sandboxStart(port: 0, number: 0) },
                "sandbox_visit": { try sandboxVisit(port: 0, number: 0, url: "") },
                "make_key": { try makeKey() },
                "load_manifest": { try loadManifest(path: "") },
                "verify_webhook": { try verifyWebhook(delivery: none) },
            ]
            let quiet: [String: () -> Bool] = [
                "engine_release": {
                    engineRelease(engine: 0)
                    return true
                },
                "seat_ready": { seatReady(engine: 0, seat: 0) == 0 },
                "seat_answer": { seatAnswer(engine: 0, seat: 0, answer: 0) == nil },
                "seats_clear": {
                    seatsClear(engine: 0)
                    return true
                },
                "port_open": { portOpen() == 0 },
                "port_close": {
                    portClose(port: 0)
                    return true
                },
                "clock_open": { clockOpen(millis: 0) == 0 },
                "clock_release": {
                    clockRelease(clock: 0)
                    return true
                },
                "sandbox_stop": {
                    sandboxStop(sandbox: 0)
                    return true
                },
                "version": { version().isEmpty },
            ]
            let panic = Data("panic next".utf8)
            for (name, call) in raised {
                try callStart(engine: 0, number: 0, call: panic)
                do {
                    _ = try call()
                    Issue.record("\(name) went well")
                } catch let Failed.Smalt(json) {
                    let error = SmaltError(json)
                    #expect(error.code == .internal && error.reason.contains("panicked"), "\(name): \(error)")
                }
            }
            for (name, call) in quiet {
                try callStart(engine: 0, number: 0, call: panic)
                #expect(call(), "\(name)")
                // It was this one that panicked.
                #expect(seatReady(engine: 0, seat: 0) == .max, "\(name)")
            }
            let sources = repository.appendingPathComponent("bindings-swift/src")
            var exported: Set<String> = []
            let files = try FileManager.default.contentsOfDirectory(atPath: sources.path)
            for file in files where file.hasSuffix(".rs") && file != "bench.rs" {
                let text = try String(contentsOf: sources.appendingPathComponent(file), encoding: .utf8)
                for part in text.components(separatedBy: "#[uniffi::export]\npub fn ").dropFirst() {
                    exported.insert(String(part.prefix { $0 != "(" }))
                }
            }
            #expect(exported == Set(raised.keys).union(quiet.keys))
        }
    #endif

    @Test func eventsComeAsASequenceThatEndsWithItsReader() async throws {
        try await sandboxed { smalt in
            let account = smalt.account("a")
            try await account.ensure()
            _ = try await account.connect("sandbox-oauth")
            var seen: [Event] = []
            for try await event in smalt.events() {
                seen.append(event)
                if seen.count == 2 { break }
            }
            let (last, type) = (seen[1].cursor, seen[0].type)
            let next = Task {
                for try await event in smalt.events(since: last) where event.type != type { return event.cursor }
                return ""
            }
            _ = try await account.disconnect("sandbox-oauth")
            #expect(try await next.value != last)
            let reading = Task { for try await _ in smalt.events() {} }
            try await until { Port.shared.pending > 0 }
            reading.cancel()
            await #expect(throws: CancellationError.self) { try await reading.value }
            #expect(Port.shared.pending == 0)
        }
    }

    @Test func listsAreFetchedAsTheyAreRead() async throws {
        try await sandboxed { smalt in
            for number in 0..<12 { try await smalt.account("c-\(number)").ensure() }
            let ids = try await smalt.accounts().reduce(into: Set<String>()) { $0.insert($1.id) }
            #expect(ids.count == 12)
        }
        try await running {
            let sandbox = try await Sandbox.start()
            @Sendable func calls() async throws -> Int {
                let stats = try await sandbox.stats()
                return try #require(stats["api_calls"]?.int)
            }
            var options = EmbeddedOptions()
            options.projectJSON = [
                "version": 1, "org": ["redirect_uris": ["http://127.0.0.1/callback"]],
                "sandbox": ["enabled": true, "url": .string(sandbox.origin)], "apps": ["sandbox-oauth": [:]],
            ]
            options.throwawayKey = true
            let smalt = try await Smalt.embedded(options: options)
            let account = smalt.account("a")
            try await account.ensure()
            let started = try await account.startConnect("sandbox-oauth", redirectURI: "http://127.0.0.1/callback")
            let callback = try await Sandbox.visit(started.authorizeURL)
            _ = try await account.finishConnect(callbackURL: callback, cookie: started.cookie.value)
            let before = try await calls()
            // 40 channels, one on a page.
            let paging = Pagination(style: .offset, items: "/items", sizeParam: "limit", size: 1)
            let channels = account.pages("sandbox-oauth", "GET", "channels", pagination: paging)
            var counted = [try await calls()]
            for try await _ in channels {
                counted.append(try await calls())
                if counted.count == 4 { break }
            }
            _ = try await account.request("sandbox-oauth", "GET", "channels")
            counted.append(try await calls())
            // Nothing before it is read, nothing ahead, and nothing after the reader has stopped.
            #expect(counted.map { $0 - before } == [0, 1, 2, 3, 4])
            let error = try await thrown { for try await _ in account.pages("sandbox-oauth", "GET", "nowhere") {} }
            #expect(error.kind == .provider)
            await smalt.close()
        }
    }

    @Test func aClosedEngineSaysSo() async throws {
        try await running {
            let smalt = try await Smalt.sandbox()
            let account = smalt.account("a")
            try await account.ensure()
            await smalt.close()
            await smalt.close()
            #expect(try await thrown { _ = try await account.get() }.code == .closed)
            #expect(try await thrown { _ = try await account.credential("sandbox-oauth") }.code == .closed)
            #expect(try await thrown { _ = try smalt.capabilities }.code == .closed)
        }
    }

    @Test func aLoopOfEnginesLeavesNothingBehindClosedOrNot() async throws {
        try await running {
            let before = (Engine.open.with { $0 }, Homes.shared.open)
            for number in 0..<size(8, 60) {
                var options = EmbeddedOptions(runner: Echo(), sandbox: true)
                options.throwawayKey = true
                let smalt = try await Smalt.embedded(options: options)
                try await smalt.account("a").ensure()
                if number % 2 == 0 { await smalt.close() }
            }
            #expect(Engine.open.with { $0 } == before.0)
            #expect(Homes.shared.open == before.1)
        }
    }

    @Test func anOpeningThatIsCancelledLeavesNoEngine() async throws {
        try await running {
            let before = Engine.open.with { $0 }
            for number in 0..<20 {
                let opening = Task { try await Smalt.sandbox().close() }
                if number % 2 == 0 { opening.cancel() }
                _ = await opening.result
            }
            try await until { Port.shared.pending == 0 && Engine.open.with { $0 } == before }
        }
    }

    @Test func errorsAreCaughtByKindAndCode() async throws {
        try await sandboxed { smalt in
            do {
                _ = try await smalt.account("nobody").get()
                Issue.record("it went well")
            } catch SmaltError.Code.notConnected {
                Issue.record("another code")
            } catch SmaltError.Kind.notFound {}
            do {
                _ = try await smalt.account("nobody").get()
            } catch SmaltError.Code.linkedAccountNotFound {}
            let error = try await thrown { _ = try await smalt.account("nobody").get() }
            #expect(error.localizedDescription == error.reason && error.reason.count > 20)
            #expect(SmaltError.Code.all[error.code] == .notFound)
        }
    }
}

struct Echo: WorkflowRunner {
    func run(_ run: WorkflowRun) async throws -> JSON { run.payload }
}

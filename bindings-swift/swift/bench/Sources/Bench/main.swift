// Measures the package beside plain UniFFI in the same run: medians of rounds in turns. `bench.sh` builds it, and names choose some.

import Foundation
import SmaltGlue

@testable import Smalt

let rounds = 5
let application = "sandbox-oauth"
let customer = "customer-42"

struct Row {
    let id: String
    let what: String
    let ours: Double
    let theirs: Double
    let least: Double

    var ratio: Double { ours / theirs }
    var goal: String { ">= \(least)x" }
    var holds: Bool { ratio >= least }
    var json: [String: Any] {
        [
            "id": id, "what": what, "ours": ours, "peer": "UniFFI", "theirs": theirs, "unit": "calls/s", "ratio": ratio, "goal": goal,
            "holds": holds,
        ]
    }
}

typealias Call = @Sendable () async throws -> Void

/// Calls per second, one after the other.
func rate(_ total: Int, _ call: Call) async throws -> Double {
    let started = DispatchTime.now().uptimeNanoseconds
    for _ in 0..<total { try await call() }
    return Double(total) / (Double(DispatchTime.now().uptimeNanoseconds - started) / 1e9)
}

/// Calls per second, with so many pending all the time.
func rate(_ total: Int, together: Int, _ call: @escaping Call) async throws -> Double {
    let started = DispatchTime.now().uptimeNanoseconds
    try await withThrowingTaskGroup(of: Void.self) { group in
        for worker in 0..<together {
            let its = total / together + (worker < total % together ? 1 : 0)
            group.addTask { for _ in 0..<its { try await call() } }
        }
        try await group.waitForAll()
    }
    return Double(total) / (Double(DispatchTime.now().uptimeNanoseconds - started) / 1e9)
}

/// The medians of rounds in which both take their turns; a first round warms up.
func interleaved(_ ours: () async throws -> Double, _ theirs: () async throws -> Double) async throws -> (Double, Double) {
    var seen: ([Double], [Double]) = ([], [])
    _ = try await (ours(), theirs())
    for _ in 0..<rounds {
        seen.0.append(try await ours())
        seen.1.append(try await theirs())
    }
    return (seen.0.sorted()[rounds / 2], seen.1.sorted()[rounds / 2])
}

let smalt = try await Smalt.sandbox()
let account = smalt.account(customer)
try await account.ensure()
_ = try await account.connect(application)
_ = try await account.credential(application)
guard let engine = account.handle.engine?.number else { fatalError("an engine that is open has a number") }

func ready() async throws -> Row {
    let (ours, theirs) = try await interleaved(
        { try await rate(50_000) { _ = try await account.credential(application) } },
        { try await rate(50_000) { _ = try await plainCredential(engine: engine, account: customer, application: application) } })
    return Row(id: "swift-ready", what: "ready credential, per await", ours: ours, theirs: theirs, least: 5)
}

func pending() async throws -> Row {
    // What waits takes this way; a credential from memory takes a shorter one.
    let ask: Call = { _ = try await account.handle.waited("credential", ["account": customer, "application": application]) }
    let plain: Call = { _ = try await plainPending(engine: engine, account: customer, application: application) }
    let (ours, theirs) = try await interleaved(
        { try await rate(20_000, together: 64, ask) }, { try await rate(20_000, together: 64, plain) })
    return Row(id: "swift-pending", what: "64 pending", ours: ours, theirs: theirs, least: 1)
}

/// Adds the rows to what other benches wrote.
func keep(_ rows: [Row], _ path: URL) throws {
    let mine = rows.map(\.id)
    var known: [[String: Any]] = []
    if let text = try? Data(contentsOf: path) { known = try JSONSerialization.jsonObject(with: text) as? [[String: Any]] ?? [] }
    let all = known.filter { !mine.contains($0["id"] as? String ?? "") } + rows.map(\.json)
    let text = try JSONSerialization.data(withJSONObject: all, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    try (text + Data("\n".utf8)).write(to: path)
}

let chosen = CommandLine.arguments.count > 2 ? Array(CommandLine.arguments.dropFirst(2)) : ["ready", "pending"]
var rows: [Row] = []
for name in chosen {
    print("swift \(name) …")
    switch name {
    case "ready": rows.append(try await ready())
    case "pending": rows.append(try await pending())
    default: fatalError("there is no such bench: ready, pending")
    }
}
for row in rows {
    let figures = String(format: "%14.2f %14.2f  calls/s  %7.2f", row.ours, row.theirs, row.ratio)
    print("\(row.what.padding(toLength: 44, withPad: " ", startingAt: 0)) \(figures)  \(row.goal) (UniFFI) \(row.holds ? "yes" : "NO")")
}
try keep(rows, URL(fileURLWithPath: CommandLine.arguments[1]))
await smalt.close()

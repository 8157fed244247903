import Foundation
import Testing

@testable import Smalt

let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../../..").standardizedFileURL

struct TookTooLong: Error, CustomStringConvertible {
    let time: Duration
    var description: String { "not done after \(time), and given up" }
}

/// Gives work up that does not end, so that a test fails and does not hang: also work that is deaf to its cancellation.
func within<Value: Sendable>(_ time: Duration, _ work: @escaping @Sendable () async throws -> Value) async throws -> Value {
    let (waiter, tasks) = (Locked(CheckedContinuation<Value, any Error>?.none), Locked([Task<Void, Never>]()))
    @Sendable func end(_ result: Result<Value, any Error>) {
        waiter.with { waiter in
            defer { waiter = nil }
            return waiter
        }?.resume(with: result)
        for task in tasks.with({ $0 }) { task.cancel() }
    }
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            waiter.with { $0 = continuation }
            tasks.with { tasks in
                tasks.append(
                    Task {
                        do { end(.success(try await work())) } catch { end(.failure(error)) }
                    })
                tasks.append(
                    Task {
                        do { try await Task.sleep(for: time) } catch { return }
                        end(.failure(TookTooLong(time: time)))
                    })
            }
        }
    } onCancel: {
        end(.failure(CancellationError()))
    }
}

/// A test in real time: the core's clock is not the test's.
func running(_ test: @escaping @Sendable () async throws -> Void) async throws { try await within(.seconds(240), test) }

/// Waits until it holds; the test's own time ends it.
func until(_ holds: () -> Bool) async throws {
    while !holds() { try await Task.sleep(for: .milliseconds(5)) }
}

func sandboxed(_ test: @escaping @Sendable (Smalt) async throws -> Void) async throws {
    try await running {
        let smalt = try await Smalt.sandbox()
        do {
            try await test(smalt)
        } catch {
            await smalt.close()
            throw error
        }
        await smalt.close()
    }
}

struct WentWell: Error, CustomStringConvertible { let description = "expected an error, but it went well" }

/// The error of Smalt that it ends with.
func thrown(_ call: @Sendable () async throws -> Void) async throws -> SmaltError {
    do {
        try await call()
    } catch let error as SmaltError {
        return error
    }
    throw WentWell()
}

/// Whether a text stands anywhere in what an error shows of itself.
func reveals(_ error: SmaltError, _ text: String) -> Bool {
    var dumped = ""
    dump(error, to: &dumped)
    let shown = [error.description, error.localizedDescription, String(reflecting: error), "\(error.context)", error.trace ?? "", dumped]
    return shown.contains { $0.contains(text) }
}

/// A server in a process of its own, and the organisation's handle on it.
func served(_ test: @escaping @Sendable (URL, Smalt) async throws -> Void) async throws {
    try await running {
        let room = repository.appendingPathComponent("tests/conformance")
        let world = try await RemoteWorld.open(Case(room.appendingPathComponent("cases/application-list.json")), room)
        do {
            try await test(world.url, world.smalt)
        } catch {
            await world.end()
            throw error
        }
        await world.end()
    }
}

/// The first figure of a row, or the whole one where `SMALT_FULL` asks for it.
func size(_ first: Int, _ full: Int) -> Int { ProcessInfo.processInfo.environment["SMALT_FULL"] == nil ? first : full }

import Foundation
import SmaltGlue

/// Where every call ends: one thread takes what has come, many at a time, and lets their tasks go on.
package final class Port: Sendable {
    package static let shared = Port()
    package let number = portOpen()

    private struct State {
        var last: UInt64 = 0
        var waiting: [UInt64: CheckedContinuation<Data, any Error>] = [:]
        var wakes = 0
        var ends = 0
    }

    private let state = Locked(State())

    private init() {
        #if os(Linux)
            // A peer that hangs up must not end the process: the core writes to sockets, and a Swift program, unlike a Rust one, does not ignore
            // this signal of itself. Whoever handles it keeps that.
            var known = sigaction()
            if sigaction(SIGPIPE, nil, &known) == 0, known.__sigaction_handler.sa_handler == nil { signal(SIGPIPE, SIG_IGN) }
        #endif
        let thread = Thread { [self] in take() }
        thread.name = "smalt-port"
        thread.start()
    }

    /// How many calls have not ended.
    var pending: Int { state.with { $0.waiting.count } }

    /// How often something was taken, and how much in all.
    var counts: (wakes: Int, ends: Int) { state.with { ($0.wakes, $0.ends) } }

    /// Does something while nothing that comes is taken. It begins no call.
    func held(_ work: () -> Void) { state.with { _ in work() } }

    /// Where a call stands whose task may be cancelled at any time, also before it has begun.
    private enum Standing {
        case early
        case begun(UInt64)
        case cancelled
    }

    /// Begins a call, and waits for its end. A cancelled task begins nothing. One that is cancelled later ends the call in the core, whose
    /// answer that is; where the call was quicker, it has its answer all the same.
    package func call(_ begin: (UInt64) throws -> Void) async throws -> Data {
        try Task.checkCancellation()
        let standing = Locked(Standing.early)
        do {
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { waiter in
                    let number = state.with { state in
                        state.last += 1
                        state.waiting[state.last] = waiter
                        return state.last
                    }
                    let refused: (any Error)? = standing.with { standing in
                        if case .cancelled = standing { return CancellationError() }
                        do { try raising { try begin(number) } } catch { return error }
                        standing = .begun(number)
                        return nil
                    }
                    if let refused { taken(number)?.resume(throwing: refused) }
                }
            } onCancel: {
                let begun: UInt64? = standing.with { standing in
                    defer { standing = .cancelled }
                    if case .begun(let number) = standing { return number }
                    return nil
                }
                if let begun { try? callCancel(port: number, number: begun) }
            }
        } catch let error as SmaltError where error.kind == .cancelled && Task.isCancelled {
            throw CancellationError()
        }
    }

    private func taken(_ number: UInt64) -> CheckedContinuation<Data, any Error>? {
        state.with { $0.waiting.removeValue(forKey: number) }
    }

    private func take() {
        while let batch = try? portTake(port: number, wait: 60_000) {
            state.with {
                $0.wakes += batch.isEmpty ? 0 : 1
                $0.ends += batch.count
            }
            for message in batch {
                switch message {
                case .answer(let number, let json): taken(number)?.resume(returning: json)
                case .failure(let number, let json): taken(number)?.resume(throwing: SmaltError(json))
                case .ask(let home, let number, let json): Homes.shared.ask(home, number, json)
                case .forget(let number): Homes.shared.forget(number)
                }
            }
        }
    }
}

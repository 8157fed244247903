import Foundation
import SmaltGlue

/// A clock that moves only when told to.
public final class FixedClock: Sendable {
    let number: UInt64

    /// Stands still at this time.
    public init(_ start: Date) { number = clockOpen(millis: Int64(Time.millis(start))) }

    deinit { clockRelease(clock: number) }

    /// Where it stands.
    public var now: Date { at(0) }

    /// Moves it; a negative duration moves it back.
    @discardableResult
    public func advance(by duration: Duration) -> Date { at(Int64((duration.inSeconds * 1000).rounded())) }

    private func at(_ millis: Int64) -> Date {
        // It is known as long as this object is.
        let now = (try? clockAdvance(clock: number, millis: millis)) ?? 0
        return Date(timeIntervalSince1970: Double(now) / 1000)
    }
}

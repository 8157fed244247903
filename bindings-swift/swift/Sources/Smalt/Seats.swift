import Foundation
import SmaltGlue

/// Credentials of one engine that were made from the core's answers. The core is asked each time, by a number; what was made is used again
/// for as long as its answer is the very same one.
final class Seats: Sendable {
    struct Place: Hashable {
        var actor: String?
        var account: String
        var application: String
        var connection: String?
    }

    private struct Seat {
        let number: UInt64
        var answer: (number: UInt64, credential: Credential)?
    }

    /// More of them are begun anew.
    static let most = 4096
    /// What the core answers in place of an answer's number.
    private static let (waits, gone) = (UInt64(0), UInt64.max)

    private let engine: UInt64
    private let seats = Locked([Place: Seat]())

    init(_ engine: UInt64) { self.engine = engine }

    /// How many credentials are kept.
    var kept: Int { seats.with { $0.values.filter { $0.answer != nil }.count } }

    /// The credential, where it is in memory; `nil` where the call has to wait.
    func ready(_ place: Place) throws -> Credential? {
        guard let seat = seats.with({ $0[place] }) else { return nil }
        let number = seatReady(engine: engine, seat: seat.number)
        if let answer = seat.answer, answer.number == number { return answer.credential }
        if number == Self.waits || number == Self.gone {
            seats.with { seats in
                if number == Self.gone, seats[place]?.number == seat.number { seats[place] = nil }
                seats[place]?.answer = nil
            }
            return nil
        }
        guard let packed = seatAnswer(engine: engine, seat: seat.number, answer: number) else { return nil }
        let (left, credential) = try Packed.read(packed) { (try $0.seats(), try $0.credential()) }
        seats.with { seats in
            if !left.isEmpty {
                for (place, seat) in seats where left.contains(seat.number) { seats[place]?.answer = nil }
            }
            if seats[place]?.number == seat.number { seats[place]?.answer = (number, credential) }
        }
        return credential
    }

    /// Takes a seat for what was waited for, so that it is ready the next time. Where none is to be had, it waits again.
    func take(_ place: Place, _ text: () throws -> Data) {
        if seats.with({ $0[place] != nil }) { return }
        guard let text = try? text(), let number = try? seatTake(engine: engine, call: text) else { return }
        seats.with { seats in
            if seats.count >= Self.most {
                seats = [:]
                seatsClear(engine: engine)
            } else {
                seats[place] = Seat(number: number)
            }
        }
    }

    /// Keeps nothing any more.
    func clear() { seats.with { $0 = [:] } }
}

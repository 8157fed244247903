import Foundation

/// What goes into the core and comes out of it.
package enum Codec {
    /// On its way into the core: secrets are written.
    package static func data(_ value: some Encodable) throws -> Data {
        if let fields = value as? Fields { return try fields.data() }
        let encoder = JSONEncoder()
        encoder.userInfo[Secret.exposing] = true
        encoder.outputFormatting = .withoutEscapingSlashes
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var its = encoder.singleValueContainer()
            try its.encode(Time.text(date))
        }
        do {
            return try encoder.encode(value)
        } catch {
            // What the encoder says may show the value.
            throw SmaltError.here(.invalid, .invalidRequest, "A value has no JSON form. Pass finite numbers, and not too deep a value.")
        }
    }

    /// An answer of the core.
    package static func value<Value: Decodable>(_ data: Data) throws -> Value { try value(Value.self, data) }

    /// An answer of the core, as this type.
    package static func value<Value: Decodable>(_ type: Value.Type, _ data: Data) throws -> Value {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let its = try decoder.singleValueContainer()
            guard let date = Time.date(try its.decode(String.self)) else {
                throw DecodingError.dataCorruptedError(in: its, debugDescription: "no time")
            }
            return date
        }
        do {
            return try decoder.decode(type, from: data)
        } catch {
            throw strange()
        }
    }

    static func strange() -> SmaltError {
        .here(.internal, .internal, "An answer has another form than this version of the package knows. Use packages of one version.")
    }
}

/// A request: names and values. What is `nil` is left out.
struct Fields: Encodable, ExpressibleByDictionaryLiteral {
    private var entries: [(String, any Encodable)]

    private struct Name: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }

        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    init(dictionaryLiteral elements: (String, (any Encodable)?)...) {
        entries = elements.compactMap { name, value in value.map { (name, $0) } }
    }

    /// More of them, which stand before those of the same names.
    mutating func merge(_ more: Fields) {
        entries.removeAll { entry in more.entries.contains { $0.0 == entry.0 } }
        entries += more.entries
    }

    /// As JSON, on its way into the core. Most requests are a few texts and numbers, for which the encoder takes longer than the call.
    fileprivate func data() throws -> Data {
        var made: [UInt8] = []
        made.reserveCapacity(128)
        try write(into: &made)
        return Data(made)
    }

    private func write(into made: inout [UInt8]) throws {
        made.append(UInt8(ascii: "{"))
        for (index, (name, value)) in entries.enumerated() {
            if index > 0 { made.append(UInt8(ascii: ",")) }
            made.append(quoted: name)
            made.append(UInt8(ascii: ":"))
            switch value {
            case let text as String: made.append(quoted: text)
            case let secret as Secret: made.append(quoted: secret.reveal())
            case let flag as Bool: made += (flag ? "true" : "false").utf8
            case let number as Int: made += String(number).utf8
            case let number as UInt64: made += String(number).utf8
            case let fields as Fields: try fields.write(into: &made)
            // A list of one, without its brackets: not every encoder writes what is no object and no list.
            default: made += try Codec.data(One(value: value)).dropFirst().dropLast()
            }
        }
        made.append(UInt8(ascii: "}"))
    }

    private struct One: Encodable {
        let value: any Encodable

        func encode(to encoder: any Encoder) throws {
            var its = encoder.unkeyedContainer()
            try its.encode(value)
        }
    }

    func encode(to encoder: any Encoder) throws {
        var its = encoder.container(keyedBy: Name.self)
        for (name, value) in entries { try its.encode(value, forKey: Name(stringValue: name)) }
    }
}

extension [UInt8] {
    /// A text in quotes, as JSON has it.
    fileprivate mutating func append(quoted text: String) {
        append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                append(UInt8(ascii: "\\"))
                append(byte)
            case 0..<0x20:
                let digits = String(byte, radix: 16)
                self += ((byte < 0x10 ? "\\u000" : "\\u00") + digits).utf8
            default: append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }
}

/// Where `null` says something else than absence.
func orNull<Value: Encodable>(_ value: Value?) -> any Encodable { value as any Encodable }

extension Duration {
    /// As the core has it.
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

extension KeyedDecodingContainer {
    /// A duration, which the core writes in seconds.
    func seconds(forKey key: Key) throws -> Duration? {
        try decodeIfPresent(Double.self, forKey: key).map { .seconds($0) }
    }
}

/// Times, as the core writes them: `2026-01-02T03:04:05.678Z`. A millisecond that goes out comes back the same.
enum Time {
    static func text(_ date: Date) -> String {
        let all = millis(date)
        let (day, rest) = (floorDivide(all, 86_400_000), all - floorDivide(all, 86_400_000) * 86_400_000)
        let (year, month, dayOfMonth) = civil(day)
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let time = [rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60].map { padded($0, 2) }.joined(separator: ":")
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(dayOfMonth, 2))T\(time).\(padded(rest % 1000, 3))Z"
    }

    /// In milliseconds since 1970; what is too far away is the farthest that there is.
    static func millis(_ date: Date) -> Int {
        let limit = 8.64e15
        return Int(max(-limit, min(limit, (date.timeIntervalSince1970 * 1000).rounded())))
    }

    static func date(_ text: String) -> Date? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[10] == 0x54, bytes.last == 0x5A else { return nil }
        func number(_ range: Range<Int>) -> Int? {
            var made = 0
            for byte in bytes[range] {
                guard (0x30...0x39).contains(byte) else { return nil }
                made = made * 10 + Int(byte - 0x30)
            }
            return made
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10), let hour = number(11..<13),
            let minute = number(14..<16), let second = number(17..<19), (1...12).contains(month), bytes[13] == 0x3A, bytes[16] == 0x3A
        else { return nil }
        var fraction = 0.0
        if bytes.count > 20 {
            guard bytes[19] == 0x2E, bytes.count <= 30, let digits = number(20..<bytes.count - 1) else { return nil }
            fraction = Double(digits) / pow(10, Double(bytes.count - 21))
        }
        let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
        return Date(timeIntervalSince1970: Double(seconds) + fraction)
    }

    private static func floorDivide(_ number: Int, _ by: Int) -> Int { number >= 0 ? number / by : -((by - 1 - number) / by) }

    /// Days since 1970, in the Gregorian calendar; years begin in March, so that the leap day is the last.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let era = floorDivide(year, 400)
        let ofEra = year - era * 400
        let ofYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + ofEra * 365 + ofEra / 4 - ofEra / 100 + ofYear - 719_468
    }

    private static func civil(_ days: Int) -> (Int, Int, Int) {
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let ofEra = shifted - era * 146_097
        let year = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * year + year / 4 - year / 100)
        let month = (5 * ofYear + 2) / 153
        let day = ofYear - (153 * month + 2) / 5 + 1
        return (year + era * 400 + (month >= 10 ? 1 : 0), month < 10 ? month + 3 : month - 9, day)
    }
}

import Foundation

/// A value behind a lock that is never held across a suspension. `Mutex` of the standard library needs newer systems than this package does.
final class Locked<Value>: @unchecked Sendable {
    private let lock = NSLock()
    private var value: Value

    init(_ value: Value) { self.value = value }

    func with<Result>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}

/// What does not keep an object alive.
struct Weak<Object: AnyObject> {
    weak var object: Object?
}

extension Weak: Sendable where Object: Sendable {}

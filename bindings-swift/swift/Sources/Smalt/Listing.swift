/// A list that is fetched while it is read, a page at a time: nothing is asked for that nobody reads.
///
/// ```swift
/// for try await account in smalt.accounts() { … }
/// ```
public struct Listing<Element: Sendable>: AsyncSequence, Sendable {
    /// Fetches what comes after a cursor; so many portions were fetched before.
    typealias Fetch = @Sendable (_ cursor: String?, _ before: Int) async throws -> Portion
    struct Portion {
        var items: [Element]
        var next: String?
        /// Whether it goes on.
        var more: Bool
    }

    let cursor: String?
    let fetch: Fetch

    init(from cursor: String? = nil, _ fetch: @escaping Fetch) { (self.cursor, self.fetch) = (cursor, fetch) }

    /// Begins at its first entry, each time.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(cursor: cursor, fetch: fetch) }

    /// Where reading stands.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private var cursor: String?
        private var portion = [Element]().makeIterator()
        private var (fetched, ended) = (0, false)
        private let fetch: Fetch

        init(cursor: String?, fetch: @escaping Fetch) { (self.cursor, self.fetch) = (cursor, fetch) }

        /// The next entry; `nil` at the end.
        public mutating func next() async throws -> Element? {
            while true {
                if let element = portion.next() { return element }
                if ended { return nil }
                let came = try await fetch(cursor, fetched)
                portion = came.items.makeIterator()
                (cursor, ended, fetched) = (came.next, !came.more, fetched + 1)
            }
        }
    }
}

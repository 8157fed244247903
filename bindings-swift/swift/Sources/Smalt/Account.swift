import Foundation

/// The organisation's authority over one linked account. No I/O until a verb is called; an unknown account is an error of that verb
/// (`linkedAccountNotFound`), never made by accident.
public struct Account: Linked, CustomStringConvertible {
    public let accountID: String
    public let handle: Handle

    /// The same handle, whose calls take at most so long; then they end as `outcomeUnknown`: what has an effect outside goes on.
    public func timeout(_ timeout: Duration?) -> Account { Account(accountID: accountID, handle: handle.with(timeout: timeout)) }

    /// Reads the linked account.
    ///
    /// - Throws: ``SmaltError``: `linkedAccountNotFound`.
    public func get() async throws -> LinkedAccount { try await handle.ask("get_account", ["account": accountID]) }

    /// Makes the linked account if it is missing.
    @discardableResult
    public func ensure() async throws -> LinkedAccount {
        let made: UpsertedAccount = try await handle.ask("upsert_account", ["id": accountID])
        return made.account
    }

    /// Deletes the linked account with everything of it; grants are revoked.
    public func delete() async throws { try await handle.tell("delete_account", ["account": accountID]) }

    /// A session for a browser, a phone or an SDK: reused while half of its life remains.
    ///
    /// - Parameter force: Makes a new one whatever the last has left.
    public func session(force: Bool = false) async throws -> Session {
        let info: SessionInfo = try await handle.ask("create_session", ["account": accountID, "force": force])
        return Session(info, handle)
    }

    /// A credential that is valid now: renewed if needed, at most once by anyone.
    ///
    /// - Parameters:
    ///   - application: The application's slug.
    ///   - connection: The connection; absent: the default one.
    /// - Throws: ``SmaltError``: `notConnected`; `reauthRequired`: the user must connect again; `refreshFailed`: try again after `retryAfter`.
    public func credential(_ application: String, connection: String? = nil) async throws -> Credential {
        try await handle.ready("credential", accountID, application, connection) {
            ["account": accountID, "application": application, "connection": connection]
        }
    }

    /// An authenticated call. The provider's answer is returned whatever its status.
    ///
    /// - Parameters:
    ///   - application: The application's slug.
    ///   - method: `GET`, `POST`, …
    ///   - path: A path below the application's base URL, or a full URL on its host.
    ///   - query: Query parameters.
    ///   - headers: More headers.
    ///   - body: The body.
    ///   - connection: The connection; absent: the default one.
    ///   - timeout: At most; default 30 s.
    ///   - maxBody: The answer's largest size in bytes; default 8 MiB.
    /// - Throws: ``SmaltError``: `hostMismatch` when the path leads to another host, `providerUnreachable`, `answerTooLarge`; and as
    ///   ``credential(_:connection:)``.
    public func request(
        _ application: String,
        _ method: String,
        _ path: String,
        query: [String: String] = [:],
        headers: [String: String] = [:],
        body: Body? = nil,
        connection: String? = nil,
        timeout: Duration? = nil,
        maxBody: Int? = nil
    ) async throws -> ApiAnswer {
        let request = Request(
            account: accountID, application: application, method: method, path: path, query: query, headers: headers, body: body,
            connection: connection, timeout: timeout, maxBody: maxBody)
        return try await handle.ask("request", request.fields())
    }

    /// An authenticated call whose body comes in parts: they are read no faster than they are sent, and no further once the call has ended. The
    /// provider's answer is returned whatever its status, whole, up to 8 MiB.
    ///
    /// A body that throws cuts the upload off, which the provider does not take for whole; its error comes out. The body's iterator should heed
    /// its task's cancellation, as those of `AsyncStream` do: the call ends after it.
    ///
    /// - Parameters:
    ///   - application: The application's slug.
    ///   - method: `POST`, `PUT`, …
    ///   - path: A path below the application's base URL, or a full URL on its host.
    ///   - body: The parts, in their order and of any size.
    ///   - contentType: The body's media type.
    ///   - length: How many bytes the body has; absent: it is sent in chunks, which not every provider takes.
    ///   - query: Query parameters.
    ///   - headers: More headers.
    ///   - connection: The connection; absent: the default one.
    ///   - timeout: How long either side may be silent; default 30 s.
    ///   - maxBody: The most bytes that are sent, and that are answered; default 1 GiB, and 8 MiB of the answer.
    /// - Throws: ``SmaltError``: `uploadNotRepeated` when the token died meanwhile: it is renewed then, and the upload can be sent again from its
    ///   beginning. And as ``request(_:_:_:query:headers:body:connection:timeout:maxBody:)``.
    public func upload<Parts: AsyncSequence & Sendable>(
        _ application: String,
        _ method: String,
        _ path: String,
        body: Parts,
        contentType: String = "application/octet-stream",
        length: Int? = nil,
        query: [String: String] = [:],
        headers: [String: String] = [:],
        connection: String? = nil,
        timeout: Duration? = nil,
        maxBody: Int? = nil
    ) async throws -> ApiAnswer where Parts.Element == Data {
        let request = Request(
            account: accountID, application: application, method: method, path: path, query: query, headers: headers,
            connection: connection, timeout: timeout, maxBody: maxBody)
        return try await handle.upload(["request": request.fields(), "content_type": contentType, "length": length], body)
    }

    /// An authenticated call for one page of a provider's list. Takes what
    /// ``request(_:_:_:query:headers:body:connection:timeout:maxBody:)`` takes.
    ///
    /// - Parameters:
    ///   - application: The application's slug.
    ///   - method: `GET`, `POST`, …
    ///   - path: A path below the application's base URL, or a full URL on its host.
    ///   - cursor: Where the last page ended; absent: the first page.
    ///   - pagination: How this list comes in pages; default as the application's manifest says.
    ///   - query: Query parameters.
    ///   - headers: More headers.
    ///   - body: The body.
    ///   - connection: The connection; absent: the default one.
    ///   - timeout: At most; default 30 s.
    ///   - maxBody: The answer's largest size in bytes; default 8 MiB.
    public func requestPage(
        _ application: String,
        _ method: String,
        _ path: String,
        cursor: String? = nil,
        pagination: Pagination? = nil,
        query: [String: String] = [:],
        headers: [String: String] = [:],
        body: Body? = nil,
        connection: String? = nil,
        timeout: Duration? = nil,
        maxBody: Int? = nil
    ) async throws -> ApiPage {
        let request = Request(
            account: accountID, application: application, method: method, path: path, query: query, headers: headers, body: body,
            connection: connection, timeout: timeout, maxBody: maxBody)
        var fields = try request.fields()
        fields.merge(["cursor": cursor, "pagination": pagination])
        return try await handle.ask("request_page", fields)
    }

    /// A provider's list, item by item. Nothing is fetched before it is asked for.
    ///
    /// - Parameters:
    ///   - application: The application's slug.
    ///   - method: `GET`, mostly.
    ///   - path: A path below the application's base URL, or a full URL on its host.
    ///   - pagination: How this list comes in pages; default as the application's manifest says.
    ///   - query: Query parameters.
    ///   - atMost: How many pages may be fetched; one more is an error (`answerTooLarge`).
    /// - Returns: The items. Reading throws `providerError` when a page was answered with a status of failure.
    public func pages(
        _ application: String,
        _ method: String,
        _ path: String,
        pagination: Pagination? = nil,
        query: [String: String] = [:],
        atMost: Int = 1000
    ) -> Listing<JSON> {
        Listing { cursor, before in
            if before >= atMost {
                throw SmaltError.here(
                    .provider, .answerTooLarge, "The list has more than \(atMost) pages. Ask for less, or raise the limit.")
            }
            let page = try await requestPage(application, method, path, cursor: cursor, pagination: pagination, query: query)
            if !page.answer.ok {
                let status = String(page.answer.status)
                throw SmaltError.here(.provider, .providerError, "A page was answered with \(status).", ["status": status])
            }
            return .init(items: page.items, next: page.next, more: page.next != nil)
        }
    }

    /// With its id.
    public var description: String { "Account(\(accountID))" }
}

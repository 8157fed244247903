#if canImport(AuthenticationServices) && !os(tvOS) && !os(watchOS)
    import AuthenticationServices
    import Foundation

    /// Shows authorize pages in the system's own sheet (`ASWebAuthenticationSession`), on iOS and macOS.
    ///
    /// ```swift
    /// let presenter = WebAuthenticationPresenter(redirectURI: "com.example.app:/connected")
    /// let session = try Session(server: server, options: .init(presenter: presenter)) { try await backend.smaltToken() }
    /// ```
    ///
    /// The redirect URI stands in the project's `redirect_uris`. One of a private scheme works everywhere; one of `https` needs iOS 17.4 or macOS
    /// 14.4, and the app must be associated with its domain (`webcredentials`).
    @MainActor
    public final class WebAuthenticationPresenter: NSObject, Presenter {
        /// For errors.
        public nonisolated let name = "web authentication session"
        /// What the sheet catches.
        public nonisolated let redirectURI: String?
        private let privately: Bool
        private let anchor: @MainActor @Sendable () -> ASPresentationAnchor

        /// A presenter that catches this redirect URI.
        ///
        /// - Parameters:
        ///   - redirectURI: A private scheme's (`com.example.app:/connected`) or an `https` one of a domain that the app is associated with.
        ///   - privately: Whether the sheet shares no cookies with the browser, so that the user must log in again.
        ///   - anchor: The window that the sheet belongs to.
        public nonisolated init(
            redirectURI: String,
            privately: Bool = false,
            anchor: @escaping @MainActor @Sendable () -> ASPresentationAnchor = { ASPresentationAnchor() }
        ) {
            (self.redirectURI, self.privately, self.anchor) = (redirectURI, privately, anchor)
            super.init()
        }

        /// Shows a page until it leads back, the user closes it, or the task is cancelled.
        public func present(_ page: AuthorizePage) async throws -> URL? {
            try Task.checkCancellation()
            guard page.device == nil else {
                throw SmaltError(.unsupported, .unsupported, "A code is entered on another device. Show it with a presenter of your own.")
            }
            let showing = Showing()
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { waiter in
                    showing.begin(waiter)
                    do {
                        let sheet = try sheet(page) { url, error in showing.end(Self.result(url, error)) }
                        (sheet.presentationContextProvider, sheet.prefersEphemeralWebBrowserSession) = (self, privately)
                        showing.sheet = sheet
                        // A task that was cancelled meanwhile has ended already.
                        if showing.isOver { return }
                        if !sheet.start() { showing.end(.failure(Self.unable)) }
                    } catch {
                        showing.end(.failure(error))
                    }
                }
            } onCancel: {
                Task { @MainActor in showing.end(.failure(CancellationError())) }
            }
        }

        private typealias Ended = @Sendable (URL?, (any Error)?) -> Void

        private func sheet(_ page: AuthorizePage, _ ended: @escaping Ended) throws -> ASWebAuthenticationSession {
            let callback = URLComponents(string: page.redirectURI)
            guard let scheme = callback?.scheme else { throw Self.unable }
            guard scheme == "https" else {
                return ASWebAuthenticationSession(url: page.authorizeURL, callbackURLScheme: scheme, completionHandler: ended)
            }
            guard #available(iOS 17.4, macOS 14.4, visionOS 1.1, *), let host = callback?.host else { throw SmaltError.noHTTPSCallback }
            return ASWebAuthenticationSession(
                url: page.authorizeURL, callback: .https(host: host, path: callback?.path ?? "/"), completionHandler: ended)
        }

        nonisolated static var unable: SmaltError {
            SmaltError(.plugin, .pluginFailed, "The system showed no sheet. Present it from an app that is in the foreground.")
        }

        /// A closed sheet is the user's word, and no cancelled task.
        nonisolated static func result(_ url: URL?, _ error: (any Error)?) -> Result<URL, any Error> {
            if let url { return .success(url) }
            if let error = error as? ASWebAuthenticationSessionError { return .failure(SmaltError.sheet(error)) }
            return .failure(error ?? unable)
        }
    }

    extension SmaltError {
        /// What the system says of a sheet: its own words for a window that is missing name a number only.
        static func sheet(_ error: ASWebAuthenticationSessionError) -> any Error {
            if error.code == .canceledLogin { return SmaltError.userCancelled }
            let isWindow = error.code == .presentationContextNotProvided || error.code == .presentationContextInvalid
            return isWindow ? WebAuthenticationPresenter.unable : error
        }

        /// Before that a sheet catches private schemes only.
        static var noHTTPSCallback: SmaltError {
            let words = "An https redirect URI needs iOS 17.4 or macOS 14.4. Use one of a private scheme for older systems."
            return SmaltError(.unsupported, .unsupported, words)
        }
    }

    extension WebAuthenticationPresenter: ASWebAuthenticationPresentationContextProviding {
        /// The window that the sheet belongs to.
        public func presentationAnchor(for session: ASWebAuthenticationSession) -> ASPresentationAnchor { anchor() }
    }

    /// One sheet, and who waits for it. It ends once.
    @MainActor private final class Showing: Sendable {
        var sheet: ASWebAuthenticationSession?
        private var waiter: CheckedContinuation<URL?, any Error>?
        private var early: Result<URL, any Error>?

        nonisolated init() {}

        var isOver: Bool { waiter == nil }

        func begin(_ waiter: CheckedContinuation<URL?, any Error>) {
            self.waiter = waiter
            if let early { finish(early) }
        }

        /// From any thread: the system promises none.
        nonisolated func end(_ result: Result<URL, any Error>) { Task { @MainActor in self.finish(result) } }

        private func finish(_ result: Result<URL, any Error>) {
            guard let waiter else {
                if sheet == nil && early == nil { early = result }
                return
            }
            self.waiter = nil
            if case .failure(let error) = result, error is CancellationError { sheet?.cancel() }
            waiter.resume(with: result.map { $0 })
        }
    }
#endif

#if canImport(SwiftUI) && canImport(AuthenticationServices) && !os(tvOS) && !os(watchOS)
    import AuthenticationServices
    import Foundation
    import SwiftUI

    /// Shows authorize pages with SwiftUI's `webAuthenticationSession`, from whichever view `presents(_:)` stands on.
    ///
    /// ```swift
    /// let presenter = SheetPresenter(redirectURI: "com.example.app:/connected")
    /// let session = try Session(server: server, options: .init(presenter: presenter)) { try await backend.smaltToken() }
    /// …
    /// ConnectionsScreen(session: session).presents(presenter)
    /// ```
    @available(iOS 16.4, macOS 13.3, *)
    @MainActor
    public final class SheetPresenter: Presenter {
        /// For errors.
        public nonisolated let name = "web authentication session"
        /// What the sheet catches.
        public nonisolated let redirectURI: String?
        var web: WebAuthenticationSession?

        /// A presenter that catches this redirect URI: a private scheme's, or from iOS 17.4 and macOS 14.4 on an `https` one of a domain that the
        /// app is associated with (`webcredentials`).
        public nonisolated init(redirectURI: String) { self.redirectURI = redirectURI }

        /// Shows a page until it leads back, the user closes it, or the task is cancelled.
        public func present(_ page: AuthorizePage) async throws -> URL? {
            try Task.checkCancellation()
            guard page.device == nil else {
                throw SmaltError(.unsupported, .unsupported, "A code is entered on another device. Show it with a presenter of your own.")
            }
            guard let web, let callback = URLComponents(string: page.redirectURI), let scheme = callback.scheme else {
                throw SmaltError(.plugin, .pluginFailed, "No view presents the page. Put `.presents(presenter)` on one that is shown.")
            }
            do {
                guard scheme == "https" else { return try await web.authenticate(using: page.authorizeURL, callbackURLScheme: scheme) }
                guard #available(iOS 17.4, macOS 14.4, visionOS 1.1, *), let host = callback.host else { throw SmaltError.noHTTPSCallback }
                return try await web.authenticate(
                    using: page.authorizeURL, callback: .https(host: host, path: callback.path), preferredBrowserSession: nil,
                    additionalHeaderFields: [:])
            } catch let error as ASWebAuthenticationSessionError {
                try Task.checkCancellation()
                throw SmaltError.sheet(error)
            }
        }
    }

    @available(iOS 16.4, macOS 13.3, *)
    private struct Presents: ViewModifier {
        @Environment(\.webAuthenticationSession) private var web
        let presenter: SheetPresenter

        func body(content: Content) -> some View { content.onAppear { presenter.web = web } }
    }

    @available(iOS 16.4, macOS 13.3, *)
    extension View {
        /// The presenter's pages are shown from this view.
        public func presents(_ presenter: SheetPresenter) -> some View { modifier(Presents(presenter: presenter)) }
    }
#endif

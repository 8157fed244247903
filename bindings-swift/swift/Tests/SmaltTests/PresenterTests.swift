// On Linux only against stand-ins of Apple's classes: SMALT_STAND_INS, see swift.sh.
#if canImport(AuthenticationServices) && os(Linux)
    import AuthenticationServices
    import Foundation
    import Testing

    @testable import Smalt

    /// What a sheet's end means.
    @MainActor @Suite(.serialized) struct PresenterTests {
        private let page: AuthorizePage
        private let callback: URL

        init() throws {
            callback = try #require(URL(string: "com.example.app:/connected?code=1"))
            page = AuthorizePage(
                authorizeURL: try #require(URL(string: "https://provider.example/authorize?state=s")),
                redirectURI: "com.example.app:/connected", application: "Acme")
            ASWebAuthenticationSession.cancelled = 0
        }

        private func presenter(_ redirectURI: String = "com.example.app:/connected") -> WebAuthenticationPresenter {
            WebAuthenticationPresenter(redirectURI: redirectURI, privately: true)
        }

        @Test func aPageThatLeadsBackIsAnswered() async throws {
            let callback = callback
            let presenter = presenter()
            ASWebAuthenticationSession.shows = { sheet in
                #expect(sheet.callback.text == "com.example.app" && sheet.prefersEphemeralWebBrowserSession)
                #expect(sheet.presentationContextProvider === presenter)
                sheet.completionHandler(callback, nil)
                return true
            }
            #expect(try await presenter.present(page) == callback)
        }

        @Test func aRedirectOfHttpsIsCaughtByItsHost() async throws {
            let its = try #require(URL(string: "https://app.example.com/connected?code=1"))
            let page = AuthorizePage(authorizeURL: page.authorizeURL, redirectURI: "https://app.example.com/connected", application: "Acme")
            ASWebAuthenticationSession.shows = { sheet in
                #expect(sheet.callback.text == "https://app.example.com/connected")
                sheet.completionHandler(its, nil)
                return true
            }
            #expect(try await presenter(page.redirectURI).present(page) == its)
        }

        @Test func aClosedSheetIsTheUsersWord() async throws {
            ASWebAuthenticationSession.shows = { sheet in
                sheet.completionHandler(nil, ASWebAuthenticationSessionError(.canceledLogin))
                return true
            }
            let (presenter, page) = (presenter(), page)
            #expect(try await thrown { _ = try await presenter.present(page) }.code == .userCancelled)
        }

        @Test func aSheetThatIsNotShownIsAFault() async throws {
            ASWebAuthenticationSession.shows = { _ in false }
            let (presenter, page) = (presenter(), page)
            #expect(try await thrown { _ = try await presenter.present(page) }.code == .pluginFailed)
        }

        @Test func aSheetWithoutAWindowSaysWhatToDo() async throws {
            let (presenter, page) = (presenter(), page)
            let sheet = SheetPresenter(redirectURI: page.redirectURI)
            for code in [ASWebAuthenticationSessionError.Code.presentationContextNotProvided, .presentationContextInvalid] {
                ASWebAuthenticationSession.shows = { sheet in
                    sheet.completionHandler(nil, ASWebAuthenticationSessionError(code))
                    return true
                }
                sheet.web = WebAuthenticationSession { _, _ in throw ASWebAuthenticationSessionError(code) }
                for error in [
                    try await thrown { _ = try await presenter.present(page) }, try await thrown { _ = try await sheet.present(page) },
                ] {
                    #expect(error.code == .pluginFailed && error.reason.contains("in the foreground"))
                }
            }
        }

        @Test func aCancelledTaskClosesTheSheetAndIsNoWordOfTheUsers() async throws {
            let shown = Locked(false)
            ASWebAuthenticationSession.shows = { _ in
                shown.with { $0 = true }
                return true
            }
            let (presenter, page) = (presenter(), page)
            let presenting = Task { try await presenter.present(page) }
            try await running { try await until { shown.with { $0 } } }
            presenting.cancel()
            await #expect(throws: CancellationError.self) { try await running { _ = try await presenting.value } }
            #expect(ASWebAuthenticationSession.cancelled == 1)
        }

        @Test func aTaskThatWasCancelledShowsNothing() async throws {
            ASWebAuthenticationSession.shows = { _ in
                Issue.record("it is shown")
                return true
            }
            let (presenter, page) = (presenter(), page)
            let presenting = Task { @MainActor in try await presenter.present(page) }
            presenting.cancel()
            await #expect(throws: CancellationError.self) { try await running { _ = try await presenting.value } }
        }

        @Test func aPresenterOfSwiftUIsNeedsAView() async throws {
            let (presenter, page) = (SheetPresenter(redirectURI: "com.example.app:/connected"), page)
            #expect(try await thrown { _ = try await presenter.present(page) }.code == .pluginFailed)
            presenter.web = WebAuthenticationSession { _, scheme in
                #expect(scheme == "com.example.app")
                throw ASWebAuthenticationSessionError(.canceledLogin)
            }
            #expect(try await thrown { _ = try await presenter.present(page) }.code == .userCancelled)
            let callback = callback
            presenter.web = WebAuthenticationSession { _, _ in callback }
            #expect(try await presenter.present(page) == callback)
        }

        @Test func aRedirectOfHttpsIsCaughtByItsHostInAView() async throws {
            let its = try #require(URL(string: "https://app.example.com/connected?code=1"))
            let page = AuthorizePage(authorizeURL: page.authorizeURL, redirectURI: "https://app.example.com/connected", application: "Acme")
            let presenter = SheetPresenter(redirectURI: page.redirectURI)
            presenter.web = WebAuthenticationSession { _, callback in
                #expect(callback == "https://app.example.com/connected")
                return its
            }
            #expect(try await presenter.present(page) == its)
        }

        @Test func aRedirectOfNoHostIsRefused() async throws {
            let page = AuthorizePage(authorizeURL: page.authorizeURL, redirectURI: "https:/connected", application: "Acme")
            let (sheet, presenter) = (SheetPresenter(redirectURI: page.redirectURI), presenter(page.redirectURI))
            let callback = callback
            sheet.web = WebAuthenticationSession { _, _ in callback }
            #expect(try await thrown { _ = try await sheet.present(page) }.code == .unsupported)
            #expect(try await thrown { _ = try await presenter.present(page) }.code == .unsupported)
        }
    }
#endif

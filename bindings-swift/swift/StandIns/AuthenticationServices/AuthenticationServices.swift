import Foundation

// Stands in for Apple's framework on Linux, so that the presenters are compiled, and their behaviour tested, where there is no sheet. The
// declarations are those of Apple's documentation; what a sheet does is a test's choice.

/// A window.
@MainActor open class StandInWindow: NSObject {
    override public nonisolated init() {}
}

public typealias ASPresentationAnchor = StandInWindow

@MainActor public protocol ASWebAuthenticationPresentationContextProviding: NSObjectProtocol {
    func presentationAnchor(for session: ASWebAuthenticationSession) -> ASPresentationAnchor
}

public struct ASWebAuthenticationSessionError: Error, Sendable {
    public enum Code: Int, Sendable {
        case canceledLogin = 1
        case presentationContextNotProvided = 2
        case presentationContextInvalid = 3
    }

    public let code: Code
    public init(_ code: Code) { self.code = code }
}

@MainActor open class ASWebAuthenticationSession: NSObject {
    public typealias CompletionHandler = @Sendable (URL?, (any Error)?) -> Void

    public struct Callback: Sendable {
        public let text: String
        public static func customScheme(_ scheme: String) -> Callback { Callback(text: scheme) }
        public static func https(host: String, path: String) -> Callback { Callback(text: "https://\(host)\(path)") }
    }

    /// What a sheet does when it is shown: it answers itself, or it stays until it is cancelled.
    public static var shows: (ASWebAuthenticationSession) -> Bool = { _ in false }
    public static var cancelled = 0

    public let url: URL
    public let callback: Callback
    public let completionHandler: CompletionHandler
    public weak var presentationContextProvider: (any ASWebAuthenticationPresentationContextProviding)?
    public var prefersEphemeralWebBrowserSession = false

    public init(url: URL, callbackURLScheme: String?, completionHandler: @escaping CompletionHandler) {
        (self.url, callback, self.completionHandler) = (url, .customScheme(callbackURLScheme ?? ""), completionHandler)
    }

    public init(url: URL, callback: Callback, completionHandler: @escaping CompletionHandler) {
        (self.url, self.callback, self.completionHandler) = (url, callback, completionHandler)
    }

    open func start() -> Bool { Self.shows(self) }
    open func cancel() { Self.cancelled += 1 }
}

/// SwiftUI's, which lies in this framework.
@MainActor public struct WebAuthenticationSession: Sendable {
    public let answers: @MainActor @Sendable (URL, String) async throws -> URL

    public init(_ answers: @escaping @MainActor @Sendable (URL, String) async throws -> URL) { self.answers = answers }

    public struct BrowserSession: Sendable { public static let ephemeral = BrowserSession() }

    public func authenticate(
        using url: URL, callbackURLScheme: String, preferredBrowserSession: BrowserSession? = nil
    ) async throws -> URL { try await answers(url, callbackURLScheme) }

    public func authenticate(
        using url: URL, callback: ASWebAuthenticationSession.Callback, preferredBrowserSession: BrowserSession? = nil,
        additionalHeaderFields: [String: String]
    ) async throws -> URL { try await answers(url, callback.text) }
}

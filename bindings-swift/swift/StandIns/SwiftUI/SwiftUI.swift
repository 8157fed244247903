import AuthenticationServices

// Stands in for what the package and its example use of SwiftUI, so that they are compiled where there is none. Nothing is drawn.

@MainActor @preconcurrency public protocol View {
    associatedtype Body: View
    @ViewBuilder @MainActor @preconcurrency var body: Body { get }
}

extension Never: View {
    public var body: Never { return fatalError("nothing is drawn") }
}

@MainActor public struct Drawn: View {
    public var body: Never { return fatalError("nothing is drawn") }
    public init(_ parts: any View...) {}
}

@resultBuilder public struct ViewBuilder {
    public static func buildBlock(_ parts: any View...) -> Drawn { MainActor.assumeIsolated { Drawn() } }
    public static func buildExpression(_ view: some View) -> some View { view }
    public static func buildOptional(_ part: (any View)?) -> Drawn { MainActor.assumeIsolated { Drawn() } }
}

@MainActor @preconcurrency public protocol ViewModifier {
    associatedtype Body: View
    typealias Content = Drawn
    @ViewBuilder @MainActor @preconcurrency func body(content: Content) -> Body
}

extension View {
    public func modifier(_ modifier: some ViewModifier) -> some View { Drawn() }
    public func onAppear(perform action: (() -> Void)? = nil) -> some View { Drawn() }
    public func task(priority: TaskPriority = .userInitiated, _ action: @escaping @Sendable () async -> Void) -> some View { Drawn() }
    public func refreshable(action: @escaping @Sendable () async -> Void) -> some View { Drawn() }
    public func disabled(_ disabled: Bool) -> some View { Drawn() }
}

public struct EnvironmentValues {
    @MainActor public static var web = WebAuthenticationSession { _, _ in throw ASWebAuthenticationSessionError(.canceledLogin) }
    @MainActor public var webAuthenticationSession: WebAuthenticationSession { Self.web }
    public init() {}
}

@MainActor @preconcurrency @propertyWrapper public struct Environment<Value> {
    private let path: KeyPath<EnvironmentValues, Value>
    public init(_ path: KeyPath<EnvironmentValues, Value>) { self.path = path }
    public var wrappedValue: Value { EnvironmentValues()[keyPath: path] }
}

@propertyWrapper public struct State<Value> {
    private final class Box { var value: Value; init(_ value: Value) { self.value = value } }
    private let box: Box
    public init(wrappedValue: Value) { box = Box(wrappedValue) }
    public var wrappedValue: Value {
        get { box.value }
        nonmutating set { box.value = newValue }
    }
}

extension State where Value: ExpressibleByNilLiteral {
    public init() { self.init(wrappedValue: nil) }
}

@MainActor public struct List: View {
    public var body: Never { return fatalError("nothing is drawn") }
    public init(@ViewBuilder content: () -> some View) { _ = content() }
}

@MainActor public struct HStack: View {
    public var body: Never { return fatalError("nothing is drawn") }
    public init(@ViewBuilder content: () -> some View) { _ = content() }
}

@MainActor public struct ForEach<Item>: View {
    public var body: Never { return fatalError("nothing is drawn") }
    public init(_ items: [Item], id: KeyPath<Item, some Hashable>, @ViewBuilder content: @escaping (Item) -> some View) {}
}

@MainActor public struct Text: View {
    public var body: Never { return fatalError("nothing is drawn") }
    public init(_ text: String) {}
}

@MainActor public struct Spacer: View {
    public var body: Never { return fatalError("nothing is drawn") }
    public init() {}
}

@MainActor public struct Button: View {
    public var body: Never { return fatalError("nothing is drawn") }
    public init(_ title: String, action: @escaping @MainActor () -> Void) {}
}

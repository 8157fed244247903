// swift-tools-version: 6.0
import PackageDescription

// Another project, which knows nothing but the package's address.
let package = Package(
    name: "Consumer",
    platforms: [.macOS(.v13)],
    dependencies: [.package(url: "https://example.com/smalt.git", from: "0.0.1")],
    targets: [
        .testTarget(
            name: "ConsumerTests",
            dependencies: [.product(name: "Smalt", package: "smalt"), .product(name: "SmaltTesting", package: "smalt")])
    ],
    swiftLanguageModes: [.v6]
)

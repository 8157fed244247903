// swift-tools-version: 6.0
import PackageDescription

// The Swift package, here since SwiftPM takes packages from a repository's root only. Its folder is bindings-swift/swift; docs/swift.md.

/// A release's native library for Apple's systems; bindings-swift/swift/release.sh writes it.
let released: (url: String, checksum: String)? = nil

let folder = "bindings-swift/swift/"
#if os(Linux)
    // The library itself is found by pkg-config, or where the linker looks.
    let native: Target = .systemLibrary(name: "SmaltFFI", path: folder + "Sources/SmaltFFI", pkgConfig: "smalt_ffi")
#else
    let native: Target =
        released.map { .binaryTarget(name: "SmaltFFI", url: $0.url, checksum: $0.checksum) }
        ?? .binaryTarget(name: "SmaltFFI", path: folder + "SmaltFFI.xcframework")
#endif

// Apple's frameworks on Linux, for tests: stand-ins with the declarations that the package uses.
let standIns: [Target] =
    Context.environment["SMALT_STAND_INS"] == nil
    ? []
    : [
        .target(name: "AuthenticationServices", path: folder + "StandIns/AuthenticationServices"),
        .target(name: "SwiftUI", dependencies: ["AuthenticationServices"], path: folder + "StandIns/SwiftUI"),
        .target(name: "Example", dependencies: ["Smalt", "SwiftUI"], path: folder + "Examples"),
    ]
let apple: [Target.Dependency] = standIns.isEmpty ? [] : ["AuthenticationServices", "SwiftUI"]

let package = Package(
    name: "Smalt",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "Smalt", targets: ["Smalt"]),
        .library(name: "SmaltTesting", targets: ["SmaltTesting"]),
    ],
    targets: [
        native,
        // UniFFI's own output, in the language mode that it is written for. It is made at each build, and not checked in.
        .target(
            name: "SmaltGlue", dependencies: ["SmaltFFI"], path: folder + "Sources/SmaltGlue",
            swiftSettings: [.swiftLanguageMode(.v5)]),
        .target(name: "Smalt", dependencies: ["SmaltGlue"] + apple, path: folder + "Sources/Smalt"),
        .target(name: "SmaltTesting", dependencies: ["Smalt", "SmaltGlue"], path: folder + "Sources/SmaltTesting"),
        .testTarget(name: "SmaltTests", dependencies: ["Smalt", "SmaltGlue", "SmaltTesting"] + apple, path: folder + "Tests/SmaltTests"),
    ] + standIns,
    swiftLanguageModes: [.v6]
)

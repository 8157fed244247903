// swift-tools-version: 6.0
import PackageDescription

// Measures the package. `bindings-swift/bench.sh` copies this into a folder of its own, and beside it the package's sources and UniFFI's glue
// with the peer in it.
let package = Package(
    name: "Bench",
    platforms: [.macOS(.v13)],
    targets: [
        .systemLibrary(name: "SmaltFFI", pkgConfig: "smalt_ffi"),
        .target(name: "SmaltGlue", dependencies: ["SmaltFFI"], swiftSettings: [.swiftLanguageMode(.v5)]),
        .target(name: "Smalt", dependencies: ["SmaltGlue"]),
        .executableTarget(name: "Bench", dependencies: ["Smalt", "SmaltGlue"]),
    ],
    swiftLanguageModes: [.v6]
)

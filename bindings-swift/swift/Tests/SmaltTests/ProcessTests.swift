import Foundation
import Testing

@testable import Smalt

/// What only a process of its own shows: how it ends.
@Suite(.serialized) struct ProcessTests {
    private static let role = ProcessInfo.processInfo.environment["SMALT_TEST_ROLE"]

    /// Not a test by itself: the process that ends.
    @Test(.enabled(if: role == "exits")) func playsAProcess() async throws {
        let smalt = try await Smalt.sandbox()
        try await smalt.account("a").ensure()
        let last = try await smalt.eventsPage(limit: 1000).items.last?.cursor
        let before = Port.shared.pending
        for _ in 0..<200 {
            Task.detached { try await smalt.eventsPage(since: last, wait: .seconds(600)) }
            Task.detached { try await smalt.countAccounts() }
        }
        try await until { Port.shared.pending >= before + 200 }
        exit(7)
    }

    @Test(.enabled(if: role == nil)) func aProcessExitsWithCallsInFlight() async throws {
        for _ in 0..<size(2, 30) {
            let child = Process()
            // As this one was begun, with one test only.
            var arguments = Array(CommandLine.arguments.dropFirst())
            while let at = arguments.firstIndex(of: "--filter") { arguments.removeSubrange(at...min(at + 1, arguments.count - 1)) }
            #if os(Linux)
                child.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
            #else
                child.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
            #endif
            child.arguments = arguments + ["--filter", "playsAProcess"]
            child.environment = ProcessInfo.processInfo.environment.merging(["SMALT_TEST_ROLE": "exits"]) { $1 }
            (child.standardOutput, child.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
            try child.run()
            for _ in 0..<12_000 where child.isRunning { try await Task.sleep(for: .milliseconds(10)) }
            #expect(!child.isRunning, "it does not end")
            if child.isRunning { return child.terminate() }
            #expect(child.terminationReason == .exit)
            #expect(child.terminationStatus == 7)
        }
    }
}

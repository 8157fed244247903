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

    /// This program again, with one test only: how it ended; `nil` where it does not end.
    private static func run(_ role: String, _ test: String) async throws -> (reason: Process.TerminationReason, status: Int32)? {
        let child = Process()
        // As this one was begun.
        var arguments = Array(CommandLine.arguments.dropFirst())
        while let at = arguments.firstIndex(of: "--filter") { arguments.removeSubrange(at...min(at + 1, arguments.count - 1)) }
        #if os(Linux)
            child.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        #else
            child.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
        #endif
        child.arguments = arguments + ["--filter", test]
        child.environment = ProcessInfo.processInfo.environment.merging(["SMALT_TEST_ROLE": role]) { $1 }
        (child.standardOutput, child.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try child.run()
        for _ in 0..<12_000 where child.isRunning { try await Task.sleep(for: .milliseconds(10)) }
        if child.isRunning {
            child.terminate()
            return nil
        }
        return (child.terminationReason, child.terminationStatus)
    }

    @Test(.enabled(if: role == nil)) func aProcessExitsWithCallsInFlight() async throws {
        for _ in 0..<size(2, 30) {
            let ended = try await Self.run("exits", "playsAProcess")
            #expect(ended?.reason == .exit, "it does not end")
            #expect(ended?.status == 7)
        }
    }

    // Elsewhere the system does not tell what a process handles.
    #if os(Linux)
        /// What a process handles, and its limits. Whether SIGPIPE is ignored is left out, since the package does that; so is what is blocked,
        /// which is a thread's own, and the system's while another thread begins.
        private static func state() throws -> [String] {
            let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            let signals = status.split(separator: "\n").compactMap { line -> String? in
                let parts = line.split(whereSeparator: { $0 == ":" || $0 == "\t" || $0 == " " })
                guard parts.count == 2, ["SigIgn", "SigCgt"].contains(String(parts[0])) else { return nil }
                guard let mask = UInt64(parts[1], radix: 16) else { return nil }
                return "\(parts[0]) \(parts[0] == "SigIgn" ? mask | 1 << UInt64(SIGPIPE - 1) : mask)"
            }
            return signals + [try String(contentsOfFile: "/proc/self/limits", encoding: .utf8)]
        }

        /// Not a test by itself: the process that is looked at.
        @Test(.enabled(if: role == "state")) func isLookedAt() async throws {
            let before = try Self.state()
            let smalt = try await Smalt.sandbox()
            let account = smalt.account("a")
            try await account.ensure()
            _ = try await account.connect("sandbox-oauth")
            _ = try await account.credential("sandbox-oauth")
            let after = try Self.state()
            await smalt.close()
            exit(before.count == 3 && before == after ? 7 : 8)
        }

        @Test(.enabled(if: role == nil)) func nothingElseIsChangedInTheProcess() async throws {
            let ended = try await Self.run("state", "isLookedAt")
            #expect(ended?.reason == .exit, "it does not end")
            #expect(ended?.status == 7)
        }
    #endif
}

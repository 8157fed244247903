#if canImport(SwiftUI)
    import Smalt
    import SwiftUI

    /// A screen of applications, to connect and disconnect them.
    struct ConnectionsScreen: View {
        let session: Session
        @State private var apps: [Application] = []
        @State private var busy: String?
        @State private var problem: String?

        var body: some View {
            List {
                ForEach(apps, id: \.slug) { app in
                    HStack {
                        Text(app.name)
                        Spacer()
                        Button(app.status == .connected ? "Disconnect" : "Connect") { toggle(app) }
                            .disabled(busy != nil)
                    }
                }
                if let problem {
                    Text(problem)
                }
            }
            .task { await load() }
            .refreshable { await load() }
        }

        private func load() async {
            await showingProblems { apps = try await session.listApps() }
        }

        private func toggle(_ app: Application) {
            Task {
                busy = app.slug
                await showingProblems {
                    if app.status == .connected {
                        _ = try await session.disconnect(app.slug)
                    } else {
                        _ = try await session.connect(app.slug)
                    }
                }
                busy = nil
                await load()
            }
        }

        private func showingProblems(_ work: () async throws -> Void) async {
            problem = nil
            do {
                try await work()
            } catch SmaltError.Code.userCancelled {
                // The user knows.
            } catch is CancellationError {
                // The screen is gone.
            } catch {
                problem = error.localizedDescription
            }
        }
    }

    #if !os(Linux)
        #Preview {
            ConnectionsScreen(session: .preview)
        }
    #endif
#endif

import Smalt

/// Acme CRM, a small product: its customers connect an application, choose what runs, and get their contacts from it.
struct AcmeCRM {
    let smalt: Smalt

    /// What the page of integrations lists.
    func integrations(_ customer: String) async throws -> [String] {
        let account = smalt.account(customer)
        try await account.ensure()
        return try await account.listApps().map { "\($0.slug): \($0.status.rawValue)" }
    }

    /// Returns once the user has consented: as whom.
    func connect(_ customer: String, _ application: String) async throws -> String {
        try await smalt.account(customer).connect(application).identity?.label ?? ""
    }

    /// The user picks a channel out of those that the application has, maps a contact's data, and switches the digest on.
    func configure(_ customer: String, _ application: String, hour: JSON) async throws -> String {
        let account = smalt.account(customer)
        let labels = [FieldLabel(value: "Name"), FieldLabel(value: "Mail")]
        let config = try await account.config(application, labels: .byObject(["Contact": labels]))
        let channel = config.fields.first { $0.id == "channel" }?.options?.first?.value
        do {
            let saved = try await account.updateConfig(
                application,
                fields: ["channel": channel ?? nil, "contact": ["Name": "full_name", "Mail": "email"]],
                workflows: ["digest": WorkflowUpdate(enabled: true, fields: ["hour": hour])],
                version: config.version
            )
            return "version \(saved.version), digest \(saved.workflows.first?.enabled == true ? "on" : "off")"
        } catch let refused as SmaltError {
            return "\(refused.code) at \(refused.context.keys.sorted().joined(separator: ", "))"
        }
    }

    /// With a token that is valid now; renewed, if need be, once for all who ask.
    func contacts(_ customer: String, _ application: String) async throws -> Int {
        let answer = try await smalt.account(customer).request(application, "GET", "items")
        return try answer.decode(JSON.self)["items"]?.array?.count ?? 0
    }

    /// The grant is revoked at the provider, and everything that was set is deleted.
    func leave(_ customer: String, _ application: String) async throws -> String {
        let receipt = try await smalt.account(customer).disconnect(application, wait: .seconds(10))
        return "\(receipt.revocation.rawValue), \(receipt.deletedConfigs.count) settings deleted"
    }
}

/// Writes what the customer sees, line by line.
func acmeCRM(project: String, say: (String) -> Void) async throws {
    // A test's engine; a product opens `Smalt.embedded("acme.db", options: EmbeddedOptions(projectFile: project))`.
    let smalt = try await Smalt.sandbox(options: EmbeddedOptions(projectFile: project))
    let crm = AcmeCRM(smalt: smalt)
    try await crm.integrations("customer-42").forEach(say)
    say("connected as \(try await crm.connect("customer-42", "sandbox-oauth"))")
    say("a wrong hour: \(try await crm.configure("customer-42", "sandbox-oauth", hour: "at nine"))")
    say("settings: \(try await crm.configure("customer-42", "sandbox-oauth", hour: 9))")
    say("contacts: \(try await crm.contacts("customer-42", "sandbox-oauth"))")
    say("disconnected: \(try await crm.leave("customer-42", "sandbox-oauth"))")
    try await crm.integrations("customer-42").forEach(say)
    await smalt.close()
}

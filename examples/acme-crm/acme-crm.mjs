// @ts-check
// Acme CRM, a small product: its customers connect an application, choose what runs, and get their contacts from it.
import { argv } from 'node:process'
import { pathToFileURL } from 'node:url'
import { Smalt, SmaltError } from 'smalt'

export class AcmeCrm {
  /** @param {Smalt} smalt */
  constructor(smalt) {
    this.smalt = smalt
  }

  /** What the page of integrations lists. @param {string} customer */
  async integrations(customer) {
    const account = this.smalt.account(customer)
    await account.ensure()
    return (await account.listApps()).map((app) => `${app.slug}: ${app.status}`)
  }

  /** Resolves once the user has consented: as whom. @param {string} customer @param {string} application */
  async connect(customer, application) {
    const connection = await this.smalt.account(customer).connect(application)
    return connection.identity?.label
  }

  /**
   * The user picks a channel out of those that the application has, maps a contact's data, and switches the digest on.
   * @param {string} customer @param {string} application @param {unknown} hour
   */
  async configure(customer, application, hour) {
    const account = this.smalt.account(customer)
    const config = await account.config(application, { labels: { Contact: [{ value: 'Name' }, { value: 'Mail' }] } })
    const channel = config.fields.find(({ id }) => id === 'channel')?.options?.[0]?.value
    try {
      const saved = await account.updateConfig(application, {
        version: config.version,
        fields: { channel, contact: { Name: 'full_name', Mail: 'email' } },
        workflows: { digest: { enabled: true, fields: { hour } } },
      })
      return `version ${saved.version}, digest ${saved.workflows[0]?.enabled ? 'on' : 'off'}`
    } catch (error) {
      if (!(error instanceof SmaltError)) throw error
      return `${error.code} at ${Object.keys(error.context).join(', ')}`
    }
  }

  /** With a token that is valid now; renewed, if need be, once for all who ask. @param {string} customer @param {string} application */
  async contacts(customer, application) {
    const answer = await this.smalt.account(customer).fetch(application, 'items')
    const { items } = /** @type {{ items: unknown[] }} */ (await answer.json())
    return items.length
  }

  /**
   * The grant is revoked at the provider, and everything that was set is deleted.
   * @param {string} customer @param {string} application
   */
  async leave(customer, application) {
    const receipt = await this.smalt.account(customer).disconnect(application, { wait: 10_000 })
    return `${receipt.revocation}, ${receipt.deletedConfigs.length} settings deleted`
  }
}

/** @param {string} project */
export async function main(project) {
  // A test's engine; a product opens `Smalt.embedded({ path: 'acme.db', project })`.
  const smalt = await Smalt.sandbox({ project })
  const crm = new AcmeCrm(smalt)
  console.log((await crm.integrations('customer-42')).join('\n'))
  console.log('connected as', await crm.connect('customer-42', 'sandbox-oauth'))
  console.log('a wrong hour:', await crm.configure('customer-42', 'sandbox-oauth', 'at nine'))
  console.log('settings:', await crm.configure('customer-42', 'sandbox-oauth', 9))
  console.log('contacts:', await crm.contacts('customer-42', 'sandbox-oauth'))
  console.log('disconnected:', await crm.leave('customer-42', 'sandbox-oauth'))
  console.log((await crm.integrations('customer-42')).join('\n'))
  await smalt.close()
}

if (argv[1] && argv[2] && import.meta.url === pathToFileURL(argv[1]).href) await main(argv[2])

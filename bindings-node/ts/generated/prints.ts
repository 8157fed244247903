// Made from core's schema by scripts/generate.mjs. Do not edit.

/** What printing hides of a type, and where within it there are others of which it hides something. */
export interface Prints {
  readonly hidden: readonly string[]
  readonly within: Readonly<Record<string, string>>
}

/** The types that have either. */
export const PRINTS: Readonly<Record<string, Prints>> = {
  ApiAnswer: { hidden: ['headers', 'body'], within: { headers: 'NameValue' } },
  ApiPage: { hidden: ['items'], within: { answer: 'ApiAnswer' } },
  Config: { hidden: [], within: { fields: 'Field', workflows: 'Workflow' } },
  DevicePrompt: { hidden: ['userCode', 'verificationUriComplete'], within: {} },
  Executed: { hidden: ['answer', 'reason'], within: {} },
  Field: { hidden: ['value', 'defaultValue'], within: {} },
  NameValue: { hidden: ['value'], within: {} },
  NewWebhook: { hidden: [], within: { webhook: 'Webhook' } },
  OptionsRequest: { hidden: ['parentValue', 'search'], within: {} },
  ParkedCallback: { hidden: ['returnTo'], within: {} },
  Portal: { hidden: ['properties', 'returnTo'], within: {} },
  PresentRequest: { hidden: ['authorizeUrl'], within: { device: 'DevicePrompt' } },
  RuleRequest: { hidden: ['lhs'], within: {} },
  StartedConnect: { hidden: ['authorizeUrl'], within: { device: 'DevicePrompt' } },
  Webhook: { hidden: ['body'], within: {} },
  Workflow: { hidden: [], within: { fields: 'Field' } },
  WorkflowRun: { hidden: ['fields', 'workflowFields', 'payload'], within: {} },
}

/** The operations whose answers are such, alone or as a list. */
export const ANSWERS: Readonly<Record<string, string>> = {
  open_portal: 'Portal',
  start_connect: 'StartedConnect',
  take_handoff: 'StartedConnect',
  park_callback: 'ParkedCallback',
  request: 'ApiAnswer',
  request_page: 'ApiPage',
  config: 'Config',
  get_config: 'Config',
  update_config: 'Config',
  config_field: 'Field',
  set_config_field: 'Field',
  execute_workflow: 'Executed',
  create_webhook: 'NewWebhook',
  list_webhooks: 'Webhook',
  update_webhook: 'Webhook',
  rotate_webhook_secret: 'NewWebhook',
}

import { inspect } from 'node:util'

const HIDDEN = 'Secret(…)'

/**
 * A string that cannot be printed or serialised by accident: `console.log`, `util.inspect`, `JSON.stringify`, string templates and
 * error messages show `Secret(…)`. {@link Secret.reveal} gives the value.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    if (typeof value !== 'string') throw new TypeError('a secret is made of a string')
    this.#value = value
  }

  /** The value itself. Every call is a place where it can leak: keep them few. */
  reveal(): string {
    return this.#value
  }

  toString(): string {
    return HIDDEN
  }

  toJSON(): string {
    return HIDDEN
  }

  [inspect.custom](): string {
    return HIDDEN
  }
}

// What printing does not show, though it is no secret: core's schema has the list, which is the same in every language.
import { inspect, type InspectOptions } from 'node:util'
import { ANSWERS, PRINTS, type Prints } from './generated/prints.js'

/** Stands in a print for what is not shown. */
const HIDDEN = { [inspect.custom]: () => '…' }

/** How the values of a type are printed: as they are, but for what is hidden, and that only where it is set. */
function printer(hidden: readonly string[]): (this: object, depth: number, options: InspectOptions) => object {
  return function () {
    const shown = Object.create(Object.getPrototypeOf(this)) as Record<string, unknown>
    Object.assign(shown, this)
    for (const name of hidden) {
      const value = (this as Record<string, unknown>)[name]
      if (value !== null && value !== undefined) shown[name] = HIDDEN
    }
    return shown
  }
}

const described = new Map<Prints, PropertyDescriptor>()

/**
 * Lets a value of this type print itself without what core's list hides, and whatever is in it, too. Nothing else about it changes: it is
 * compared, copied and serialised with all that it has.
 *
 * @internal
 */
export function discreet<T extends object>(type: string, value: T): T {
  const prints = PRINTS[type]
  if (prints === undefined) return value
  for (const name in prints.within) {
    const inner = (value as Record<string, unknown>)[name]
    if (typeof inner === 'object' && inner !== null) every(prints.within[name] as string, inner)
  }
  if (prints.hidden.length > 0) {
    let own = described.get(prints)
    if (own === undefined) described.set(prints, (own = { value: printer(prints.hidden) }))
    Object.defineProperty(value, inspect.custom, own)
  }
  return value
}

function every(type: string, value: object): void {
  if (!Array.isArray(value)) discreet(type, value)
  else for (const one of value) discreet(type, one as object)
}

/** An operation's answer, so. @internal */
export function discreetly<T>(operation: string, answer: T): T {
  const type = ANSWERS[operation]
  if (type !== undefined && typeof answer === 'object' && answer !== null) every(type, answer)
  return answer
}

// Whether an answer is what a case expects; what differs, else undefined.
const NOTHING = Symbol('nothing')
const show = (value) => (value === NOTHING ? 'nothing' : JSON.stringify(value))
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value)

export const matches = (wanted, got) => at('', wanted, got)

function at(path, wanted, got) {
  const place = path || 'the answer'
  if (isObject(wanted) && Object.keys(wanted).some((key) => key.startsWith('$'))) {
    for (const [key, value] of Object.entries(wanted)) {
      const why = special(path, key, value, got)
      if (why) return why
    }
    return undefined
  }
  const differs = `${place}: expected ${show(wanted)}, got ${show(got)}`
  if (got === NOTHING) return differs
  if (isObject(wanted)) {
    if (!isObject(got)) return differs
    for (const [key, value] of Object.entries(wanted)) {
      const why = at(`${path}/${key}`, value, Object.hasOwn(got, key) ? got[key] : NOTHING)
      if (why) return why
    }
    return undefined
  }
  if (Array.isArray(wanted)) {
    if (!Array.isArray(got) || got.length !== wanted.length) return differs
    for (const [i, value] of wanted.entries()) {
      const why = at(`${path}/${i}`, value, got[i])
      if (why) return why
    }
    return undefined
  }
  return wanted === got ? undefined : differs
}

function typeOf(value) {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

function length(value) {
  if (typeof value === 'string') return [...value].length
  return Array.isArray(value) ? value.length : isObject(value) ? Object.keys(value).length : undefined
}

function special(path, key, value, got) {
  const place = path || 'the answer'
  const wrong = `${place}: expected {${JSON.stringify(key)}: ${show(value)}}, got ${show(got)}`
  if (key === '$absent') return got === NOTHING ? undefined : wrong
  if (got === NOTHING) return wrong
  const fits = () => {
    switch (key) {
      case '$any':
        return true
      case '$type':
        return typeOf(got) === value
      case '$match':
        return typeof got === 'string' && new RegExp(`^${value.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('[^]*')}$`).test(got)
      case '$len':
        return length(got) === value
      case '$contains': {
        const parts = Array.isArray(value) ? value : [value]
        if (typeof got === 'string') return parts.every((part) => typeof part === 'string' && got.includes(part))
        return Array.isArray(got) && parts.every((part) => got.some((item) => matches(part, item) === undefined))
      }
      case '$exact': {
        const same = (a, b) => isObject(a) && isObject(b) && JSON.stringify(Object.keys(a).sort()) === JSON.stringify(Object.keys(b).sort())
        return (!isObject(value) || same(value, got)) && at(path, value, got) === undefined
      }
      case '$not':
        return at(path, value, got) !== undefined
      default:
        throw new Error(`\`${key}\` is no matcher: a mistake in the case`)
    }
  }
  return fits() ? undefined : wrong
}

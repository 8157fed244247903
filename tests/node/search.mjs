// Looks for secrets in a store's raw bytes.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** As it is, in hex, and in both alphabets of base64 wherever it may begin in the encoded text. */
function forms(secret) {
  const bytes = Buffer.from(secret)
  const found = [bytes, Buffer.from(bytes.toString('hex')), Buffer.from(bytes.toString('hex').toUpperCase())]
  for (let before = 0; before < 3; before++) {
    const whole = Buffer.concat([Buffer.alloc(before), bytes])
    // The digits that depend on the secret alone.
    const part = (text) => Buffer.from(text.slice(Math.ceil((before * 8) / 6), Math.floor((whole.length * 8) / 6)))
    found.push(part(whole.toString('base64')), part(whole.toString('base64url')))
  }
  return [...new Map(found.map((form) => [form.toString('latin1'), form])).values()]
}

export function hits(folder, secrets) {
  const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)))
  if (!files.some((file) => file.length > 0)) throw new Error(`there is nothing to search in ${folder}`)
  let count = 0
  for (const form of secrets.flatMap(forms)) {
    if (form.length < 6) throw new Error('too short a text to search for')
    for (const file of files) for (let at = file.indexOf(form); at >= 0; at = file.indexOf(form, at + 1)) count++
  }
  return count
}

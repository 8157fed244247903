// @ts-check
import { Smalt } from 'smalt'

/** One engine per process: hot reload evaluates this module again and again, and `globalThis` stays. */
const kept = /** @type {{ smalt?: Promise<Smalt> }} */ (globalThis)

/** @returns {Promise<Smalt>} */
export function engine() {
  kept.smalt ??= process.env.SMALT_FILE ? Smalt.embedded({ path: process.env.SMALT_FILE, project: 'smalt.toml' }) : Smalt.sandbox()
  return kept.smalt
}

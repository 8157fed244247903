// @ts-check
// A route handler of Next.js, as `app/smalt/[...path]/route.js`; Hono's `app.all('/smalt/*', (c) => handler(c.req.raw))` is the same.
// In `next.config.js`: `serverExternalPackages: ['smalt']`.
import { Smalt } from 'smalt'

/** One engine per process: hot reload evaluates this module again and again, and `globalThis` stays. */
const kept = /** @type {{ smalt?: Promise<Smalt> }} */ (globalThis)

/** @returns {Promise<Smalt>} */
export function engine() {
  kept.smalt ??= process.env.SMALT_FILE ? Smalt.embedded({ path: process.env.SMALT_FILE, project: 'smalt.toml' }) : Smalt.sandbox()
  return kept.smalt
}

/** @param {Request} request */
async function handler(request) {
  return (await engine()).fetch(request, { prefix: '/smalt' })
}

export { handler as GET, handler as POST, handler as PUT, handler as PATCH, handler as DELETE, handler as OPTIONS }

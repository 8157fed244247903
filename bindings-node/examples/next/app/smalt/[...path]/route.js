// @ts-check
// The whole HTTP API and the hosted page below /smalt. Hono's `app.all('/smalt/*', (c) => handler(c.req.raw))` is the same.
import { engine } from '../../../lib/smalt.js'

/** @param {Request} request */
async function handler(request) {
  return (await engine()).fetch(request, { prefix: '/smalt' })
}

export { handler as GET, handler as POST, handler as PUT, handler as PATCH, handler as DELETE, handler as OPTIONS }

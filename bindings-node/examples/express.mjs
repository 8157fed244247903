// @ts-check
// An Express app whose users connect an application: `node express.mjs`, then open http://127.0.0.1:3000/connect.
import { fileURLToPath } from 'node:url'
import express from 'express'
import { Smalt } from 'smalt'

/**
 * The app over an engine that somebody else opened and closes.
 *
 * @param {Smalt} smalt
 * @param {string} application
 */
export function makeApp(smalt, application) {
  const app = express()
  // Whoever is logged in; your own session says.
  const account = smalt.account('customer-42')

  app.get('/connect', async (request, response) => {
    await account.ensure()
    const redirectUri = `http://${request.headers.host}/callback`
    const { authorizeUrl, cookie } = await account.startConnect(application, { redirectUri })
    // Binds the flow to this browser. Behind https the name's own rules hold: Secure, Path=/.
    response.cookie('smalt-flow', cookie.value.reveal(), { httpOnly: true, sameSite: 'lax', maxAge: cookie.maxAge * 1000 })
    response.redirect(authorizeUrl)
  })

  app.get('/callback', async (request, response) => {
    const cookie = /(?:^|; )smalt-flow=([^;]+)/.exec(request.headers.cookie ?? '')?.[1]
    const url = `http://${request.headers.host}${request.originalUrl}`
    const connection = await account.finishConnect(url, { cookie: decodeURIComponent(cookie ?? '') })
    response.json({ connected: connection.application, as: connection.identity?.label })
  })

  app.get('/items', async (_, response) => {
    const answer = await account.fetch(application, 'items')
    response.status(answer.status).json(await answer.json())
  })

  // The whole HTTP API, for browsers with a session token.
  app.use('/smalt', smalt.nodeHandler())
  return app
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const smalt = await Smalt.sandbox()
  const server = makeApp(smalt, 'sandbox-oauth').listen(3000, '127.0.0.1')
  process.once('SIGINT', () => server.close(() => smalt.close()))
}

// The hosted page in the user's own process, through both doors: the link, the page, its files, and the session behind the link.
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { Smalt } from 'smalt'
import { listening } from './helpers.mjs'

const JSON_BODY = { 'content-type': 'application/json' }

/** The page's files, as a browser finds them: what the page names, and what its scripts import. */
async function filesOf(link, html, get) {
  const wanted = [...html.matchAll(/(?:href|src)="([^"]+\.(?:css|mjs))"/g)].map(([, path]) => new URL(path, link).href)
  const kinds = []
  for (const url of wanted) {
    const file = await get(url)
    assert.equal(file.status, 200, url)
    assert.match(file.headers.get('cache-control'), /immutable/, `${url} has its build in its address`)
    kinds.push(file.headers.get('content-type').split(';')[0])
    const text = await file.text()
    assert.ok(text.length > 500, `${url} has ${text.length} characters`)
    if (url.endsWith('.css')) continue
    for (const [, path] of text.matchAll(/^import .* from '(.*)';$/gm)) {
      const other = new URL(path, url).href
      if (!wanted.includes(other)) wanted.push(other)
    }
  }
  return kinds
}

/** What a browser does with a link to the page, by `get`, which answers as `fetch` does. */
async function opensThePage(smalt, publicUrl, get) {
  const account = smalt.account('customer-42')
  await account.ensure()
  const { url } = await account.portalUrl({ properties: { name: 'Northwind' } })
  const link = url.reveal()
  assert.ok(link.startsWith(`${publicUrl}/connect/`), 'it leads to where the API is')
  const page = await get(link)
  assert.equal(page.status, 200)
  assert.match(page.headers.get('content-type'), /^text\/html/)
  assert.ok(page.headers.get('content-security-policy'))
  const html = await page.text()
  assert.match(html, /<div id="portal">/)
  const head = await get(link, { method: 'HEAD' })
  assert.deepEqual([head.status, await head.text()], [200, ''])
  const kinds = await filesOf(link, html, get)
  assert.equal(kinds.filter((kind) => kind === 'text/css').length, 1)
  assert.ok(kinds.filter((kind) => kind === 'text/javascript').length >= 4, `${kinds}`)
  const icon = await get(`${publicUrl}/api/v2/public/application/sandbox-oauth/icon`)
  assert.deepEqual([icon.status, icon.headers.get('content-type')], [200, 'image/svg+xml'])
  assert.match(await icon.text(), /^<svg/)

  // As the page's script does it: the ticket for the session, the session for the applications.
  const open = (ticket) => get(`${publicUrl}/connect/open`, { method: 'POST', body: JSON.stringify({ ticket }), headers: JSON_BODY })
  const ticket = new URL(link).pathname.split('/').pop()
  const opened = await open(ticket)
  assert.equal(opened.status, 200)
  const { token, account: whose, properties } = await opened.json()
  assert.deepEqual([whose.id, properties], ['customer-42', { name: 'Northwind' }])
  const listed = await get(`${publicUrl}/smalt/v1/list_apps`, { method: 'POST', body: '{"account":"customer-42"}', headers: { ...JSON_BODY, authorization: `Bearer ${token}` } })
  assert.deepEqual((await listed.json()).map(({ slug }) => slug), ['sandbox-key', 'sandbox-oauth'])

  assert.equal((await get(`${publicUrl}/connect/cut-off`)).status, 404, 'that is no link')
  assert.equal((await open('x'.repeat(43))).status, 404)
  await account.delete()
  assert.equal((await open(ticket)).status, 404, 'a link ends with its account')
}

const project = (publicUrl) => ({ version: 1, org: { public_url: publicUrl }, sandbox: { enabled: true }, apps: { 'sandbox-oauth': {}, 'sandbox-key': {} } })

test('the hosted page through nodeHandler', async (t) => {
  let handler = (_, response) => response.writeHead(503).end()
  const publicUrl = `${await listening(t, createServer((request, response) => handler(request, response)))}/smalt`
  const smalt = await Smalt.sandbox({ project: project(publicUrl) })
  t.after(() => smalt.close())
  handler = smalt.nodeHandler({ prefix: '/smalt' })
  await opensThePage(smalt, publicUrl, fetch)
})

test('the hosted page through smalt.fetch', async (t) => {
  const publicUrl = 'http://127.0.0.1/smalt'
  const smalt = await Smalt.sandbox({ project: project(publicUrl) })
  t.after(() => smalt.close())
  await opensThePage(smalt, publicUrl, (url, init) => smalt.fetch(new Request(url, init), { prefix: '/smalt' }))
})

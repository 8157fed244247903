// @ts-check
// The HTTP API behind Fastify.
import { fileURLToPath } from 'node:url'
import fastify from 'fastify'
import { Smalt } from 'smalt'

/** @param {Smalt} smalt */
export function makeServer(smalt) {
  const server = fastify()
  const handler = smalt.nodeHandler({ prefix: '/smalt' })
  server.register(async (scope) => {
    // The API reads bodies itself.
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_, __, done) => done(null))
    scope.all('/smalt/*', (request, reply) => {
      reply.hijack()
      handler(request.raw, reply.raw)
    })
  })
  // The engine ends with the server.
  server.addHook('onClose', () => smalt.close())
  return server
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await makeServer(await Smalt.sandbox()).listen({ port: 3000 })
}

// Makes `dist` of `ts`: declarations, one file of all the JavaScript as it was written, and entries that hand on what is in it, as CommonJS
// and as ES modules. Node takes as long to find and open a file as to read all that is in ours.
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rollup } from 'rollup'

const package_ = join(dirname(fileURLToPath(import.meta.url)), '..')
const dist = join(package_, 'dist')
const modules = join(dist, 'modules')
const require = createRequire(import.meta.url)
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc')
const compile = (...options) => execFileSync(process.execPath, [tsc, '-p', package_, ...options], { stdio: 'inherit' })

rmSync(dist, { recursive: true, force: true })
compile('--emitDeclarationOnly')
compile('--module', 'esnext', '--moduleResolution', 'bundler', '--declaration', 'false', '--stripInternal', 'false', '--outDir', modules)
// The command takes the addon only, and is a process of its own.
for (const name of ['bundle', 'bin']) {
  const made = await rollup({
    input: join(modules, `${name}.js`),
    external: /^node:/,
    onwarn: ({ message }) => {
      throw new Error(message)
    },
  })
  await made.write({ file: join(dist, `${name}.js`), format: 'cjs', esModule: false, externalLiveBindings: false, generatedCode: 'es2015' })
  await made.close()
}
rmSync(modules, { recursive: true })

for (const entry of ['index', 'testing']) {
  const names = exportsOf(entry)
  const assigned = names.map((name) => `exports.${name} = ${entry}.${name}\n`).join('')
  const own = `const { ${entry} } = require('./bundle.js')\n\nObject.defineProperty(exports, '__esModule', { value: true })\n`
  writeFileSync(join(dist, `${entry}.js`), `'use strict'\n${own}${assigned}`)
  writeFileSync(join(dist, `${entry}.mjs`), `import own from './${entry}.js'\n\nexport const { ${names.join(', ')} } = own\n`)
  writeFileSync(join(dist, `${entry}.d.mts`), `export * from './${entry}.js'\n`)
}

/** What an entry exports is known only to the engine that runs it; the addon is not needed for that. */
function exportsOf(entry) {
  const script = `
    const Module = require('node:module')
    const load = Module._load
    Module._load = function (request, ...rest) {
      if (request === 'addon') return { Room: class {}, FixedClock: class {} }
      return load.call(this, request, ...rest)
    }
    console.log(JSON.stringify(Object.keys(require(${JSON.stringify(join(dist, 'bundle.js'))}).${entry})))
  `
  const env = { ...process.env, SMALT_ADDON: 'addon' }
  return JSON.parse(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', env })).sort()
}

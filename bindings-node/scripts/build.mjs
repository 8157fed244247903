// Compiles `ts` into `dist`: CommonJS, and ES modules that hand on the very same classes, so that a process has them once.
import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const package_ = join(dirname(fileURLToPath(import.meta.url)), '..')
const dist = join(package_, 'dist')
const require = createRequire(import.meta.url)

rmSync(dist, { recursive: true, force: true })
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin/tsc')
execFileSync(process.execPath, [tsc, '-p', package_], { stdio: 'inherit' })

for (const entry of ['index', 'testing']) {
  // What an entry exports is known only to the engine that runs it; the addon is not needed for that.
  const { code } = exportsOf(entry)
  writeFileSync(join(dist, `${entry}.mjs`), code)
  writeFileSync(join(dist, `${entry}.d.mts`), `export * from './${entry}.js'\n`)
}

function exportsOf(entry) {
  const script = `
    const Module = require('node:module')
    const load = Module._load
    Module._load = function (request, ...rest) {
      if (request === './native.js') return { addon: { Room: class {}, FixedClock: class {} } }
      return load.call(this, request, ...rest)
    }
    console.log(JSON.stringify(Object.keys(require(${JSON.stringify(join(dist, `${entry}.js`))}))))
  `
  const names = JSON.parse(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })).filter((name) => name !== '__esModule')
  return { code: `import own from './${entry}.js'\n\nexport const { ${names.sort().join(', ')} } = own\n` }
}

// Makes the tarballs: the package `smalt`, and the one of this platform with the addon. `pack.mjs <addon> <folder>`.
import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const [addon, folder, target = here()] = process.argv.slice(2)
if (!addon || !folder) throw new Error('usage: pack.mjs <addon> <folder> [target]')
const package_ = join(dirname(fileURLToPath(import.meta.url)), '..')
const out = resolve(folder)
const manifest = JSON.parse(readFileSync(join(package_, 'package.json'), 'utf8'))

function here() {
  const musl = process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime
  return `${process.platform}-${process.arch}${process.platform === 'linux' ? (musl ? '-musl' : '-gnu') : ''}`
}

function pack(from) {
  const [made] = JSON.parse(execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', out], {
    cwd: from,
    encoding: 'utf8',
    // npm is a script there.
    shell: process.platform === 'win32',
  }))
  return made.filename
}

rmSync(out, { recursive: true, force: true })

// The platform's own package: the addon and nothing else.
const own = join(out, 'platform')
mkdirSync(own, { recursive: true })
const [os, cpu, libc] = target.split('-')
const file = `smalt.${target}.node`
copyFileSync(addon, join(own, file))
if (target === here() && os === 'linux') execFileSync('strip', ['--strip-unneeded', join(own, file)])
copyFileSync(join(package_, '../LICENSE'), join(own, 'LICENSE'))
writeFileSync(join(own, 'README.md'), `The native addon of [smalt](https://www.npmjs.com/package/smalt) for ${target}. Install \`smalt\`.\n`)
const platform = {
  name: `@smalt-dev/node-${target}`,
  version: manifest.version,
  description: `The native addon of smalt for ${target}.`,
  license: manifest.license,
  repository: manifest.repository,
  engines: manifest.engines,
  main: file,
  files: [file],
  os: [os],
  cpu: [cpu],
  ...(libc ? { libc: [libc === 'gnu' ? 'glibc' : 'musl'] } : {}),
}
writeFileSync(join(own, 'package.json'), `${JSON.stringify(platform, undefined, 2)}\n`)
const packed = { platform: pack(own) }

// The package itself, without what is for its makers.
const main = join(out, 'main')
mkdirSync(main)
cpSync(join(package_, 'dist'), join(main, 'dist'), { recursive: true })
copyFileSync(join(package_, 'README.md'), join(main, 'README.md'))
copyFileSync(join(package_, '../LICENSE'), join(main, 'LICENSE'))
const { scripts: _, devDependencies: __, ...shipped } = manifest
// A release names every platform (`SMALT_TARGETS`); a tarball of this machine its own.
const targets = (process.env.SMALT_TARGETS ?? target).split(/[\s,]+/).filter(Boolean)
shipped.optionalDependencies = Object.fromEntries(targets.sort().map((name) => [`@smalt-dev/node-${name}`, manifest.version]))
writeFileSync(join(main, 'package.json'), `${JSON.stringify(shipped, undefined, 2)}\n`)
packed.main = pack(main)
writeFileSync(join(out, 'packed.json'), `${JSON.stringify(packed)}\n`)
console.log(`${out}: ${packed.main}, ${packed.platform}`)

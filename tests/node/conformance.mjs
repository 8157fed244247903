// Every conformance case, on both backends.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { inspect } from 'node:util'
import { each, known, limited, raise, room, root, run } from './driver.mjs'

const chosen = process.env.CASE ?? ''
const backends = process.env.BACKEND ? [process.env.BACKEND] : ['embedded', 'remote']
/** How many cases run at once, and how long one may take before it counts as hanging. */
const AT_ONCE = 4
const LONGEST = 120_000

function read(file) {
  const testCase = JSON.parse(readFileSync(join(room, 'cases', file), 'utf8'))
  if (testCase.version !== 1) raise(`${file}: this driver knows version 1 only`)
  known('case', testCase)
  if (testCase.id !== basename(file, '.json')) raise(`${file}: the id is another`)
  return testCase
}

const cases = readdirSync(join(room, 'cases')).filter((file) => file.endsWith('.json') && file.includes(chosen)).map(read)
if (cases.length === 0) throw new Error(`no case has \`${chosen}\` in its id`)

/** What was counted, for the grid: see tests/conformance/README.md. */
function count(backend, seconds, failed) {
  const folder = join(process.env.CARGO_TARGET_DIR || join(root, 'target'), 'conformance')
  mkdirSync(folder, { recursive: true })
  const passed = cases.map(({ id }) => id).filter((id) => !failed.has(id))
  const row = { language: 'node', backend, seconds, passed, failed: [...failed.keys()].sort() }
  writeFileSync(join(folder, `node-${backend}.json`), `${JSON.stringify(row, undefined, 2)}\n`)
}

for (const backend of backends) {
  if (!['embedded', 'remote'].includes(backend)) throw new Error(`there is no backend \`${backend}\``)
  const failed = new Map()
  const begun = performance.now()
  await each(cases, AT_ONCE, async (testCase) => {
    const why = await limited(run(testCase, backend), LONGEST).catch((error) => `the world: ${error?.stack ?? inspect(error)}`)
    if (why) failed.set(testCase.id, why)
    else if (chosen) console.log(`ok      ${testCase.id} (${backend})`)
  })
  for (const [id, why] of [...failed].sort()) console.log(`FAILED  ${id} (${backend}): ${why}`)
  console.log(`node ${backend}: ${cases.length - failed.size} passed, ${failed.size} failed`)
  if (!chosen) count(backend, (performance.now() - begun) / 1000, failed)
  if (failed.size > 0) process.exitCode = 1
}
// Should a case hang, the process does not.
process.exit()

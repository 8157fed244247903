// Writes one entry per requirement and test, from what each part of `make reliability` printed: node tests/report.mjs LOG NAMES FOLDER > JSON
//
// LOG is what `cargo test` said, NAMES lists, one a line, every Rust test that should have run, as often as it stands in a binary. FOLDER holds what the other parts
// said, a file for each (`counterparts.log`, `python.log`, …); which tests they should have run stands in their sources. A state is `held`, `failed`, or `not run`: a
// test without a result, because its part was not run, or its binary died before it.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The test of bad networks, which each language has under a name of its own. */
const NETWORKS = /every[ _]?fault[ _]?ends/i;

/** The other parts: the folder of their tests, how a test stands in a source, and how its end stands in what was printed (`name`, and whether it is good). */
const node = { ends: '.test.mjs', tests: /\btest\('((?:[^'\\]|\\.)+)'/g, results: /^\s*(?<end>✔|✖) (?<name>.+?)(?: \([\d.]+ms\))?(?: # .*)?$/gm, good: '✔' };
const PARTS = {
  counterparts: { ...node, folder: 'tests/counterparts' },
  python: {
    folder: 'bindings-python/tests',
    ends: '.py',
    tests: /^(?:async )?def (test_\w+)/gm,
    results: /::(?<name>test_\w+)(?:\[.*?\])? (?<end>PASSED|FAILED|ERROR)/g,
    good: 'PASSED',
  },
  node: { ...node, folder: 'tests/node/test' },
  kotlin: {
    folder: 'bindings-swift/kotlin/smalt/src/test/kotlin',
    ends: '.kt',
    tests: /fun `?((?<=`)[^`]+|\w+)`?\(/g,
    // The reports of Surefire, one after the other.
    results: /<testcase name="(?<name>[^"]*?)(?:\(\))?"[^>]*?(?:\/>|>(?<end>[\s\S]*?)<\/testcase>)/g,
    good: /^(?![\s\S]*<(?:failure|error|skipped)\b)/,
  },
  swift: {
    folder: 'bindings-swift/swift/Tests',
    ends: '.swift',
    tests: /func (\w+)\(\)/g,
    results: /Test (?<name>\w+)\(\) (?<end>passed|failed)/g,
    good: 'passed',
  },
};

/** The requirement that a test is named after, as `S-50`. */
export function requirement(test) {
  if (NETWORKS.test(test)) return 'R-30';
  const named = /(?:^|::|test_)([rs])(\d{2})(?![0-9])/.exec(test);
  return named ? `${named[1].toUpperCase()}-${named[2]}` : undefined;
}

const plain = (text) => text.replace(/\u001b\[[0-9;]*m/g, '');
const unescaped = (text) => text.replace(/\\(.)/g, '$1').replace(/&quot;/g, '"').replace(/&apos;/g, "'").replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');

/** The rows of Rust. */
export function rustRows(log, names) {
  const results = new Map();
  for (const [, name, end] of plain(log).matchAll(/^test (\S+) \.\.\. (ok|FAILED)$/gm)) {
    results.set(name, [...(results.get(name) ?? []), end === 'ok']);
  }
  return names.split('\n').filter(Boolean).sort().map((test) => {
    const good = results.get(test)?.shift();
    return { id: requirement(test) ?? '?', part: 'rust', test, state: good === undefined ? 'not run' : good ? 'held' : 'failed' };
  });
}

/** The rows of another part: every test in its sources that a requirement names, and what became of it. */
export function partRows(part, sources, log) {
  const { tests, results, good } = PARTS[part];
  const ends = new Map();
  for (const { groups } of plain(log).matchAll(results)) {
    const held = typeof good === 'string' ? groups.end === good : good.test(groups.end ?? '');
    // One of several runs of a test (its parameters) that failed is a failure.
    const name = unescaped(groups.name);
    ends.set(name, (ends.get(name) ?? true) && held);
  }
  const names = new Set(sources.flatMap((source) => [...source.matchAll(tests)].map(([, name]) => unescaped(name))));
  return [...names].filter(requirement).map((test) => {
    const held = ends.get(test);
    return { id: requirement(test), part, test, state: held === undefined ? 'not run' : held ? 'held' : 'failed' };
  });
}

function files(folder, end) {
  const all = readdirSync(folder, { recursive: true }).map(String).filter((name) => name.endsWith(end) && !name.includes('node_modules'));
  return all.map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** All rows, by requirement. */
export function report(log, names, folder) {
  const others = Object.entries(PARTS).flatMap(([part, { folder: where, ends }]) => {
    const said = join(folder, `${part}.log`);
    return partRows(part, files(join(root, where), ends), existsSync(said) ? readFileSync(said, 'utf8') : '');
  });
  const rows = [...rustRows(log, names), ...others].map((row) => ({ ...row, holds: row.state === 'held' }));
  return rows.sort((a, b) => a.id.localeCompare(b.id) || a.part.localeCompare(b.part) || a.test.localeCompare(b.test));
}

function main([log, names, folder]) {
  const rows = report(readFileSync(log, 'utf8'), readFileSync(names, 'utf8'), folder);
  console.log(JSON.stringify({ size: process.env.SMALT_FULL ? 'full' : 'quick', at: new Date().toISOString(), rows }, null, 2));
  const those = (state) => rows.filter((row) => row.state === state);
  for (const { part, test, state } of [...those('failed'), ...those('not run')]) console.error(`${state}: ${part}: ${test}`);
  const ids = new Set(rows.map(({ id }) => id));
  console.error(`${rows.length} tests of ${ids.size} requirements, ${those('failed').length} failed, ${those('not run').length} not run`);
  // Another part that was not run is its own part's failure, where it is one; a Rust test without a result is one in any case.
  const missing = those('not run').some(({ part }) => part === 'rust');
  if (!rows.some(({ part }) => part === 'rust') || those('failed').length > 0 || missing) process.exitCode = 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));

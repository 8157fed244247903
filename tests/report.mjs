// Reads what `cargo test` printed and writes one entry per requirement and test: node tests/report.mjs LOG NAMES > JSON
//
// NAMES lists, one a line, every test that should have run, as often as it stands in a binary. One without a result did not hold: its
// binary died before, or it never ran.
import { readFileSync } from 'node:fs';

const [log, names] = process.argv.slice(2).map((file) => readFileSync(file, 'utf8'));
const results = new Map();
for (const [, name, end] of log.matchAll(/^test (\S+) \.\.\. (ok|FAILED)$/gm)) {
  results.set(name, [...(results.get(name) ?? []), end === 'ok']);
}
const rows = names.split('\n').filter(Boolean).sort().map((test) => {
  const [, letter, number] = /(?:^|::)([rs])(\d{2})[a-z0-9_]*$/.exec(test) ?? ['', '?', '?'];
  const holds = results.get(test)?.shift();
  return { id: `${letter.toUpperCase()}-${number}`, test, holds: holds === true, ...(holds === undefined && { missing: true }) };
});
rows.sort((a, b) => a.id.localeCompare(b.id) || a.test.localeCompare(b.test));
console.log(JSON.stringify({ size: process.env.SMALT_FULL ? 'full' : 'quick', at: new Date().toISOString(), rows }, null, 2));
for (const { test, missing } of rows.filter(({ holds }) => !holds)) console.error(`${missing ? 'no result' : 'failed'}: ${test}`);
const failed = rows.filter(({ holds }) => !holds).length;
console.error(`${rows.length} tests of ${new Set(rows.map(({ id }) => id)).size} requirements, ${failed} failed`);
if (rows.length === 0 || failed > 0) process.exit(1);

// Reads what `cargo test` printed and writes one entry per requirement and test: node tests/report.mjs LOG > JSON
import { readFileSync } from 'node:fs';

const log = readFileSync(process.argv[2], 'utf8');
const rows = [];
for (const [, name, id, end] of log.matchAll(/^test ((?:\S*::)?([rs]\d{2})[a-z0-9_]*) \.\.\. (ok|FAILED)$/gm)) {
  rows.push({ id: `${id[0].toUpperCase()}-${id.slice(1)}`, test: name, holds: end === 'ok' });
}
rows.sort((a, b) => a.id.localeCompare(b.id) || a.test.localeCompare(b.test));
console.log(JSON.stringify({ size: process.env.SMALT_FULL ? 'full' : 'quick', at: new Date().toISOString(), rows }, null, 2));
const failed = rows.filter(({ holds }) => !holds).length;
console.error(`${rows.length} tests of ${new Set(rows.map(({ id }) => id)).size} requirements, ${failed} failed`);
if (rows.length === 0 || failed > 0) process.exit(1);

// `make reliability` says what did not hold, and what did not run.
import assert from 'node:assert';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const SCRIPT = new URL('../report.mjs', import.meta.url).pathname;

/** What the report says of a log, where these tests should have run. */
function report(log, names) {
  const folder = mkdtempSync(join(tmpdir(), 'report-'));
  writeFileSync(join(folder, 'log'), log.join('\n') + '\n');
  writeFileSync(join(folder, 'names'), names.join('\n') + '\n');
  const { status, stdout, stderr } = spawnSync(process.execPath, [SCRIPT, join(folder, 'log'), join(folder, 'names')], { encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  return { status, stderr, rows: Object.fromEntries(JSON.parse(stdout).rows.map((row) => [row.test, row])) };
}

test('what ran and held is good', () => {
  const { status, rows } = report(['running 2 tests', 'test r20_one ... ok', 'test a::s41_two ... ok'], ['r20_one', 'a::s41_two']);
  assert.strictEqual(status, 0);
  assert.deepStrictEqual(rows['a::s41_two'], { id: 'S-41', test: 'a::s41_two', holds: true });
});

test('what failed, what has no result, and what ran in one of two binaries only is not', () => {
  const failed = report(['test r20_one ... FAILED', 'test s41_two ... ok'], ['r20_one', 's41_two']);
  assert.deepStrictEqual([failed.status, failed.rows.r20_one.holds, failed.rows.s41_two.holds], [1, false, true]);
  const aborted = report(['test r20_one ... ', 'process did not exit successfully (signal: 6, SIGABRT)'], ['r20_one', 's41_two']);
  assert.deepStrictEqual([aborted.status, aborted.rows.r20_one.missing, aborted.rows.s41_two.missing], [1, true, true]);
  assert.match(aborted.stderr, /no result: r20_one\nno result: s41_two/);
  assert.strictEqual(report(['test r20_one ... ok'], ['r20_one', 'r20_one']).status, 1);
  assert.strictEqual(report(['test r20_one ... ignored'], ['r20_one']).status, 1);
  assert.strictEqual(report([], []).status, 1);
});

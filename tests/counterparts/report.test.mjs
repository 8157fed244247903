// What `make reliability` writes is what became of each test, in each part.
import assert from 'node:assert/strict';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';

import { partRows, report, requirement, rustRows } from '../report.mjs';

const states = (rows) => Object.fromEntries(rows.map(({ test: name, state }) => [name, state]));

test('a test belongs to the requirement that it is named after', () => {
  for (const [name, id] of [
    ['r08_a_store', 'R-08'],
    ['memory::s47_a_secret', 'S-47'],
    ['s10: what a request says', 'S-10'],
    ['s77 a panic becomes an error', 'S-77'],
    ['test_s41_nothing_is_shown', 'S-41'],
    ['faults::every_fault_ends_as_it_should', 'R-30'],
    ['everyFaultEndsAsItShould', 'R-30'],
    ['s3_is_no_requirement', undefined],
    ['a_test', undefined],
  ]) {
    assert.equal(requirement(name), id, name);
  }
});

test('Rust: held, failed, and without a result, as often as a test stands in a binary', () => {
  const log = 'test a::r01_x ... ok\ntest s02_y ... FAILED\ntest s03_z ... ok\nnoise\n';
  const rows = rustRows(log, 'a::r01_x\ns02_y\ns03_z\ns03_z\nr04_gone\n');
  assert.deepEqual(
    rows.map(({ id, state }) => [id, state]),
    [['R-01', 'held'], ['R-04', 'not run'], ['S-02', 'failed'], ['S-03', 'held'], ['S-03', 'not run']],
  );
});

test('each other part: its sources say what should have run, its own words what did', () => {
  const js = "test('s10: a host', async () => {});\ntest('s11: a user\\'s', () => {});\ntest('s12: gone', () => {});\ntest('another', () => {});\n";
  const spec = '✔ s10: a host (12.3ms)\n\u001b[31m✖ s11: a user\'s (1ms)\u001b[39m\n✔ another (1ms)\n';
  assert.deepEqual(states(partRows('counterparts', [js], spec)), { 's10: a host': 'held', "s11: a user's": 'failed', 's12: gone': 'not run' });
  assert.deepEqual(states(partRows('node', [js], '')), { 's10: a host': 'not run', "s11: a user's": 'not run', 's12: gone': 'not run' });

  const py = 'def test_s41_a(b):\n    pass\nasync def test_s77_b():\n    pass\ndef test_every_fault_ends_as_it_should(x):\n    pass\ndef helper():\n    pass\n';
  const pytest = 'x/test_a.py::test_s41_a[True] PASSED [ 1%]\nx/test_a.py::test_s41_a[False] FAILED [ 2%]\nx/test_a.py::test_every_fault_ends_as_it_should[a] PASSED [ 3%]\n';
  assert.deepEqual(states(partRows('python', [py], pytest)), {
    test_s41_a: 'failed',
    test_s77_b: 'not run',
    test_every_fault_ends_as_it_should: 'held',
  });

  const kt = 'fun `s77 a panic, and more`() =\nfun `s78 "quotes"`() {\nfun `s79 it fails`() {\nfun helper() {\n';
  const surefire =
    '<testsuite><testcase name="s77 a panic, and more()" classname="C" time="1"/>\n<testcase name="s78 &quot;quotes&quot;" time="1"><system-out>x</system-out></testcase>' +
    '<testcase name="s79 it fails" time="1"><failure message="no">x</failure></testcase></testsuite>';
  assert.deepEqual(states(partRows('kotlin', [kt], surefire)), { 's77 a panic, and more': 'held', 's78 "quotes"': 'held', 's79 it fails': 'failed' });

  const swift = '@Test func s41_a() async throws {}\n@Test func s77_b() {}\nfunc other() {}\n';
  assert.deepEqual(states(partRows('swift', [swift], '✔ Test s41_a() passed after 0.1 seconds.\n✘ Test s77_b() failed after 1 seconds.')), {
    s41_a: 'held',
    s77_b: 'failed',
  });
});

test('the report has every part, and says of none that was not run that it held', () => {
  const folder = mkdtempSync(join(tmpdir(), 'report-'));
  const rows = report('test r01_x ... ok\n', 'r01_x\n', folder);
  for (const part of ['rust', 'counterparts', 'python', 'node', 'kotlin', 'swift']) {
    const own = rows.filter((row) => row.part === part);
    assert.ok(own.length > 0, part);
    assert.ok(own.every((row) => row.holds === (part === 'rust')), part);
  }
  for (const id of ['S-10', 'S-11', 'S-12', 'S-30', 'S-65', 'S-66']) {
    assert.ok(rows.some((row) => row.id === id && row.part === 'counterparts'), id);
  }
  for (const part of ['python', 'node', 'kotlin', 'swift']) assert.ok(rows.some((row) => row.id === 'R-30' && row.part === part), part);
  writeFileSync(join(folder, 'counterparts.log'), '✔ s66: 60 texts in every place: no script runs, and nothing is left for the policy to refuse (3ms)\n');
  assert.ok(report('', '', folder).some((row) => row.id === 'S-66' && row.holds));
});

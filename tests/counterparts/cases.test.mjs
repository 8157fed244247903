// Checks the conformance cases themselves: their form, their names, and what JSON Schema cannot say.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

import Ajv from 'ajv/dist/2020.js';

const root = new URL('../../', import.meta.url);
const text = (path) => readFileSync(new URL(path, root), 'utf8');
const schema = JSON.parse(text('tests/conformance/schema.json'));
const readme = text('tests/conformance/README.md');
const files = readdirSync(new URL('tests/conformance/cases/', root)).sort();
const cases = files.map((file) => [file, JSON.parse(text(`tests/conformance/cases/${file}`))]);
// The pattern beside `format` says what a time looks like.
const valid = new Ajv({ allErrors: true, allowUnionTypes: true, strict: true, strictRequired: false, strictTypes: false, formats: { 'date-time': true } }).compile(schema);

const codes = new Set([...text('core/src/error/codes.rs').matchAll(/^ {4}\w+ = "([a-z_]+)", /gm)].map(([, code]) => code));
assert.ok(codes.size > 50);

const MATCHERS = new Set(['$any', '$absent', '$type', '$match', '$len', '$contains', '$exact', '$not']);

function* objects(value) {
  if (value === null || typeof value !== 'object') return;
  if (!Array.isArray(value)) yield value;
  for (const member of Object.values(value)) yield* objects(member);
}

const names = (value) => [...(JSON.stringify(value ?? null).matchAll(/\$\{([^}]*)\}/g) ?? [])].map(([, name]) => name);

for (const [file, one] of cases) {
  test(`${file} is a case`, () => {
    assert.ok(valid(one), JSON.stringify(valid.errors?.filter((e) => e.keyword !== 'if'), null, 2));
    assert.equal(`${one.id}.json`, file);
    const saved = new Set(['sandbox', 'keys']);
    for (const name of names([one.project, one.manifests])) assert.ok(saved.has(name), `\${${name}} is not known yet`);
    let checks = 0;
    for (const step of one.steps) {
      for (const name of names([step.args, step.as, step.expect, step.error])) assert.ok(saved.has(name), `\${${name}} is used before it is saved`);
      for (const name of Object.keys(step.save ?? {})) saved.add(name);
      for (const object of objects([step.expect, step.error?.context, step.error?.retry_after])) {
        const odd = Object.keys(object).filter((key) => key.startsWith('$') && !MATCHERS.has(key));
        assert.deepEqual(odd, [], 'unknown matcher');
      }
      const outcomes = Object.keys(step.outcomes ?? {}).filter((code) => code !== 'ok');
      for (const code of [...(step.error ? [step.error.code] : []), ...outcomes]) assert.ok(codes.has(code), `no error code \`${code}\``);
      if (step.do === 'advance') assert.ok(one.clock, '`advance` needs a `clock`');
      if (step.expect !== undefined || step.error || step.outcomes) checks += 1;
    }
    assert.ok(checks > 0, 'the case expects nothing');
  });
}

test('the verbs are the operations and what the README lists', () => {
  const verbs = schema.$defs.step.properties.do.enum;
  const operations = [...text('core/src/operations.rs').matchAll(/^ {4}\w+ = "([a-z_]+)", /gm)].map(([, name]) => name);
  assert.ok(operations.length > 30);
  assert.deepEqual(operations.filter((name) => !verbs.includes(name)), [], 'operations without a verb');
  const listed = [...readme.matchAll(/^\| `([a-z_]+)` \| .* \|.* \|$/gm)].map(([, name]) => name);
  assert.deepEqual(verbs.filter((name) => !listed.includes(name)), [], 'verbs that the README does not list');
});

test('the README names every matcher', () => {
  for (const matcher of MATCHERS) assert.ok(readme.includes(`"${matcher}"`), matcher);
});

test('the schema refuses what is no case', () => {
  const good = { version: 1, id: 'a-b', title: 'Something holds', tags: ['config'], steps: [{ do: 'get_account', args: { account: 'a' } }] };
  assert.ok(valid(good), JSON.stringify(valid.errors));
  const step = good.steps[0];
  const bad = {
    'another version': { ...good, version: 2 },
    'an unknown key': { ...good, step: [] },
    'no steps': { ...good, steps: [] },
    'an unknown tag': { ...good, tags: ['misc'] },
    'an unknown verb': { ...good, steps: [{ do: 'fly' }] },
    'a missing argument': { ...good, steps: [{ do: 'get_account', args: {} }] },
    'no arguments where some are needed': { ...good, steps: [{ do: 'get_account' }] },
    'an unknown argument': { ...good, steps: [{ ...step, args: { account: 'a', acount: 'b' } }] },
    'an argument of the wrong type': { ...good, steps: [{ ...step, args: { account: 7 } }] },
    'answer and error at once': { ...good, steps: [{ ...step, expect: {}, error: { code: 'forbidden' } }] },
    'outcomes of a single call': { ...good, steps: [{ ...step, outcomes: { ok: 1 } }] },
    'waiting for nothing': { ...good, steps: [{ ...step, eventually: true }] },
    'a saved name that cannot be used': { ...good, steps: [{ ...step, save: { 'a b': '/id' } }] },
    'an unknown authority': { ...good, steps: [{ ...step, as: 'root' }] },
  };
  for (const [what, one] of Object.entries(bad)) assert.ok(!valid(one), what);
});

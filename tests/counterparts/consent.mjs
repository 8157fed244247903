// The command line of visit.mjs. One URL: one JSON line. `--serve`: a JSON line in, a JSON line out, until stdin ends. See README.md.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { BrowserVisitor, PlainVisitor } from './visit.mjs';

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    deny: { type: 'boolean', default: false },
    login: { type: 'string', default: 'user' },
    'no-browser': { type: 'boolean', default: false },
    serve: { type: 'boolean', default: false },
  },
});
if (positionals.length !== (args.serve ? 0 : 1)) {
  console.error('usage: consent.mjs [--no-browser] [--deny] [--login NAME] AUTHORIZE_URL | consent.mjs [--no-browser] --serve');
  process.exit(2);
}

const visitor = args['no-browser'] ? new PlainVisitor() : await BrowserVisitor.open();
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

async function visit(request) {
  try {
    const seen = await visitor.visit(request);
    return typeof seen === 'string' ? { callback_url: seen } : seen;
  } catch (error) {
    return { error: error.message };
  }
}

if (args.serve) {
  say({ ready: true });
  const running = new Set();
  for await (const line of createInterface({ input: process.stdin })) {
    if (line.trim() === '') continue;
    const request = JSON.parse(line);
    const task = visit(request).then((answer) => say({ id: request.id, ...answer }));
    running.add(task);
    task.finally(() => running.delete(task));
  }
  await Promise.all(running);
} else {
  const answer = await visit({ url: positionals[0], login: args.login, decision: args.deny ? 'deny' : 'allow' });
  say(answer);
  process.exitCode = answer.error ? 1 : 0;
}
await visitor.close();

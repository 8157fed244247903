// The published web SDK as a client that waits: one connect per line on the standard input (a session token). Says where the window would
// have gone, and `done` when the SDK knows.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(new URL('../counterparts/package.json', import.meta.url));
const { Cobalt } = require('@cobaltio/cobalt-js');
const [baseUrl, slug] = process.argv.slice(2);

globalThis.window = {
  open(url) {
    console.log(url);
    return { closed: false, close() {} };
  },
};

for await (const token of createInterface({ input: process.stdin })) {
  const connected = await new Cobalt({ baseUrl, token }).connect(slug);
  console.log(connected ? 'done' : 'closed');
}

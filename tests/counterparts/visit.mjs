// Plays the user at an authorize URL: signs in, consents (or denies), and says where the provider sent the browser back.
// The callback itself is never requested, so nothing needs to listen there. `plain` posts the forms; `browser` drives Chromium.

const STEPS = 12;

const never = new Promise(() => {});

function within(promise, ms, complaint) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(complaint)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function redirectOf(authorizeUrl) {
  const redirect = new URL(authorizeUrl).searchParams.get('redirect_uri');
  if (!redirect) throw new Error('the authorize URL has no redirect_uri');
  return redirect;
}

/** Whether `url` is the redirect URI with an answer attached. */
function isCallback(url, redirect) {
  return url === redirect || url.startsWith(`${redirect}?`) || url.startsWith(`${redirect}&`);
}

/** A cookie jar for one host: name, path and expiry are all that the provider's pages use. */
class Jar {
  #cookies = new Map();

  take(response) {
    for (const line of response.headers.getSetCookie()) {
      const [pair, ...attributes] = line.split(';').map((part) => part.trim());
      const at = pair.indexOf('=');
      const settings = new Map(attributes.map((text) => text.split('=', 2)).map(([name, value]) => [name.toLowerCase(), value]));
      const path = settings.get('path') ?? '/';
      const key = `${pair.slice(0, at)} ${path}`;
      const gone = settings.has('expires') && Date.parse(settings.get('expires')) <= Date.now();
      if (gone) this.#cookies.delete(key);
      else this.#cookies.set(key, { pair, path });
    }
  }

  header(url) {
    const { pathname } = new URL(url);
    const fits = ({ path }) => path === '/' || pathname === path || pathname.startsWith(`${path}/`);
    return [...this.#cookies.values()].filter(fits).map(({ pair }) => pair).join('; ');
  }
}

/** Visits by form posts. One instance is any number of browsers, told apart by `context`. */
export class PlainVisitor {
  #jars = new Map();

  #jar(context) {
    if (context === undefined) return new Jar();
    if (!this.#jars.has(context)) this.#jars.set(context, new Jar());
    return this.#jars.get(context);
  }

  async visit({ url, login = 'user', decision = 'allow', context }) {
    // A page for user codes leads nowhere: it says that it is done.
    const onDevice = new URL(url).pathname === '/device';
    const redirect = onDevice ? '' : redirectOf(url);
    const jar = this.#jar(context);
    let next = { url, method: 'GET' };
    for (let step = 0; step < STEPS; step += 1) {
      if (!onDevice && isCallback(next.url, redirect)) return next.url;
      const response = await fetch(next.url, {
        method: next.method,
        body: next.body,
        redirect: 'manual',
        headers: { cookie: jar.header(next.url) },
      });
      jar.take(response);
      const location = response.headers.get('location');
      const page = await response.text();
      if (location) {
        next = { url: new URL(location, next.url).href, method: 'GET' };
        continue;
      }
      const prompt = /name="prompt" value="(login|consent)"/.exec(page)?.[1];
      if (onDevice && !prompt) {
        if (/Sign-in Success/.test(page) || next.aborts) return next.url;
        if (!/name="xsrf"/.test(page)) throw new Error(`the device page answered ${response.status}`);
        const hidden = [...page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)].map(([, name, value]) => [name, value]);
        const fields = new URLSearchParams(hidden);
        const aborts = fields.has('confirm') && decision === 'deny';
        if (aborts) {
          fields.delete('confirm');
          fields.set('abort', 'yes');
        }
        next = { url: new URL('/device', next.url).href, method: 'POST', body: fields, aborts };
        continue;
      }
      if (!prompt) throw new Error(`the provider answered ${response.status} and no form at ${new URL(next.url).pathname}`);
      if (prompt === 'consent' && decision === 'deny') {
        next = { url: new URL(`${new URL(next.url).pathname}/abort`, next.url).href, method: 'GET' };
        continue;
      }
      const action = /<form[^>]* action="([^"]+)"/.exec(page)[1].replaceAll('&amp;', '&');
      const fields = prompt === 'login' ? { prompt, login, password: 'any' } : { prompt };
      next = { url: new URL(action, next.url).href, method: 'POST', body: new URLSearchParams(fields) };
    }
    throw new Error('the provider led nowhere');
  }

  async close() {}
}

const FLAGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What the browser shows once it has followed the callback, and what it requested from then on. */
async function shownAfter(page, callback, requests) {
  await page.waitForURL((url) => url.href !== callback && !url.href.includes('/interaction/'), { timeout: 120_000 });
  const after = requests.slice(requests.findIndex(({ url }) => url === callback) + 1);
  const [title, text] = [await page.title(), await page.locator('body').innerText()];
  return { callback_url: callback, page: { url: page.url(), title, text, requests: after } };
}

/** Visits with Chromium. Each visit is a browser of its own, unless `context` names one to go on with. */
export class BrowserVisitor {
  #browser;
  #contexts = new Map();

  static async open() {
    const { chromium } = await import('playwright-core');
    const visitor = new BrowserVisitor();
    visitor.#browser = await chromium.launch({
      executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
      headless: true,
      chromiumSandbox: false,
      args: FLAGS,
    });
    return visitor;
  }

  async #context(name) {
    if (name === undefined) return this.#browser.newContext();
    if (!this.#contexts.has(name)) this.#contexts.set(name, this.#browser.newContext());
    return this.#contexts.get(name);
  }

  /** Answers the callback's URL; with `follow`, the callback is requested, and `{ callback_url, page }` says what is shown in the end. */
  async visit({ url, login = 'user', decision = 'allow', context: name, follow = false }) {
    const redirect = redirectOf(url);
    const context = await this.#context(name);
    const page = await context.newPage();
    const requests = [];
    page.on('request', (request) => requests.push({ url: request.url(), referer: request.headers().referer }));
    try {
      // Playwright's own routes do not see the hops of a redirect; the browser's protocol does.
      const protocol = await context.newCDPSession(page);
      const callback = new Promise((resolve) => {
        protocol.on('Fetch.requestPaused', (event) => {
          const back = isCallback(event.request.url, redirect);
          if (back) resolve(event.request.url);
          const { requestId } = event;
          const sent = back && !follow
            ? protocol.send('Fetch.failRequest', { requestId, errorReason: 'Aborted' })
            : protocol.send('Fetch.continueRequest', { requestId });
          sent.catch(() => {}); // the page may be closed by now
        });
      });
      await protocol.send('Fetch.enable', { patterns: [{ urlPattern: '*', requestStage: 'Request' }] });

      // Navigation that ends at the callback fails by design: it was aborted there.
      const opened = page.goto(url).then(
        (response) => response?.status() ?? 0,
        () => 0,
      );
      const refused = opened.then((status) => {
        if (status >= 400) throw new Error(`the provider answered ${status}`);
        return never;
      });
      // A browser that is signed in, or has consented before, skips pages.
      let done = '';
      for (;;) {
        const input = page.locator(`form input[name="prompt"]:not([value="${done}"])`);
        const shown = input.waitFor({ state: 'attached', timeout: 0 }).then(() => input.getAttribute('value'));
        const seen = await within(Promise.race([callback, shown, refused]), 120_000, 'the provider showed no form and did not send the browser back');
        if (seen !== 'login' && seen !== 'consent') return follow ? await shownAfter(page, seen, requests) : seen;
        done = seen;
        if (seen === 'consent' && decision === 'deny') {
          await page.locator('a[href$="/abort"]').click({ noWaitAfter: true });
          continue;
        }
        if (seen === 'login') {
          await page.locator('input[name="login"]').fill(login);
          await page.locator('input[name="password"]').fill('any');
        }
        await page.locator('form button[type="submit"]').click({ noWaitAfter: true });
      }
    } finally {
      await (name === undefined ? context.close() : page.close());
    }
  }

  async close() {
    await this.#browser.close();
  }
}

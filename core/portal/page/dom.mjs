// Elements, made without HTML text: what others wrote is text wherever it stands.

let last = 0;

/** An id that nothing else on the page has. */
export const freshId = (name) => `${name}-${(last += 1)}`;

/** An element with attributes, listeners (`on`), properties (`set`) and children; null children are left out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'on') for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (name === 'set') Object.assign(element, value);
    else if (name === 'class') element.className = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ''));
  return element;
}

/** A button of the page's own. */
export const button = (label, onclick, attributes = {}) => h('button', { type: 'button', class: 'button', ...attributes, on: { click: onclick } }, label);

const SVG = 'http://www.w3.org/2000/svg';

/** A line drawing that says nothing that the text beside it does not. */
export function glyph(path) {
  const svg = document.createElementNS(SVG, 'svg');
  for (const [name, value] of Object.entries({ viewBox: '0 0 20 20', 'aria-hidden': 'true', focusable: 'false', class: 'glyph' })) svg.setAttribute(name, value);
  const line = document.createElementNS(SVG, 'path');
  line.setAttribute('d', path);
  svg.append(line);
  return svg;
}

export const GLYPHS = {
  back: 'M12 4 6 10l6 6',
  check: 'M4 10.5 8 14.5 16 6',
  warn: 'M10 5.5v5.5M10 14.2v.3',
  search: 'M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM13 13l4 4',
  plus: 'M10 4v12M4 10h12',
  remove: 'M5 5l10 10M15 5 5 15',
  arrow: 'M4 10h12M11 5l5 5-5 5',
  down: 'M5 8l5 5 5-5',
};

/** A text whose parts between backticks are code. */
export const rich = (text) => text.split('`').map((part, index) => (index % 2 ? h('code', {}, part) : part));

/** Whether two JSON values are the same; the order of keys does not count. */
export function same(a, b) {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || !a || !b || Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

export const copy = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

/** What people see of a choice. */
export const nameOf = (option) => option.name ?? String(option.value);

let region = null;

/** Says something to those who cannot see it change. */
export function announce(text) {
  if (!region?.isConnected) {
    region = h('p', { class: 'unseen', role: 'status', 'aria-live': 'polite' });
    document.body.append(region);
  }
  region.textContent = '';
  setTimeout(() => (region.textContent = text), 50);
}

/** Asks before something that cannot be undone. Answers whether it was confirmed. */
export function confirm({ title, text, action, danger = true }) {
  const [titleId, textId] = [freshId('title'), freshId('text')];
  return new Promise((resolve) => {
    const dialog = h(
      'dialog',
      { class: 'dialog', 'aria-labelledby': titleId, 'aria-describedby': textId },
      h('h2', { id: titleId }, title),
      h('p', { id: textId }, text),
      h(
        'div',
        { class: 'row end' },
        button('Cancel', () => dialog.close('no'), { autofocus: true }),
        button(action, () => dialog.close('yes'), { class: danger ? 'button danger' : 'button primary' }),
      ),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes');
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

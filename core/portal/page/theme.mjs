// What the organisation told the page about colours. Anybody may have had a hand in these values: only plain colours count, and
// only where text stays readable.
import { contrast, readable } from './smalt.mjs';

const COLOUR = /^#(?:[0-9a-f]{3}|[0-9a-f]{6})$/i;

function colour(value) {
  return typeof value === 'string' && COLOUR.test(value.trim()) ? value.trim() : null;
}

/** Applies `color`, `bgColor`, `base_color` and `button_color`. */
export function applyTheme(properties, root = document.documentElement) {
  const [text, ground, base, press] = ['color', 'bgColor', 'base_color', 'button_color'].map((name) => colour(properties[name]));
  const set = (name, value) => root.style.setProperty(name, value);
  if (ground) {
    const ink = readable(ground, text);
    const dark = ink === '#ffffff' || contrast(ground, '#ffffff') > contrast(ground, '#000000');
    root.dataset.scheme = dark ? 'dark' : 'light';
    set('--ground', ground);
    set('--ink', ink);
  }
  const shown = ground ?? getComputedStyle(root).getPropertyValue('--ground').trim();
  const accent = base ?? (ground ? null : text);
  if (accent) {
    // Links and focus rings must be seen on the page; buttons have a colour of their own below the text.
    if (contrast(shown, accent) >= 4.5) set('--accent', accent);
    set('--primary', accent);
    set('--on-primary', readable(accent));
  }
  if (press) {
    set('--primary', press);
    set('--on-primary', readable(press));
  }
}

/** The customer's own name for itself, as text. */
export const nameIn = (properties) => (typeof properties.name === 'string' ? properties.name.trim().slice(0, 120) : '');

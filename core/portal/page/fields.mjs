// One setting: its label, its editor, its help and its errors. Values are kept as they came; only what the user changed is sent.
import { GLYPHS, button, copy, freshId, glyph, h, nameOf, rich, same } from './dom.mjs';
import { choice, choices, mapEditor, mappingEditor, ruleEditor } from './rules.mjs';

/** More choices than this are searched rather than unfolded. */
const LONG = 12;

/** A text field that searches a list (the combobox pattern of WAI-ARIA): what is typed is sought here and at the application. */
function combobox({ id, field, value, describedBy, onchange, search }) {
  let options = [...(field.options ?? [])];
  let shown = [];
  let active = -1;
  let chosen = value;
  let asked = 0;
  let timer;
  const listId = freshId('list');
  const nameFor = (wanted) => {
    const found = options.find((option) => option.value === wanted);
    return found ? nameOf(found) : wanted === undefined || wanted === null ? '' : String(wanted);
  };
  const list = h('ul', { id: listId, role: 'listbox', class: 'options', 'aria-label': field.name, hidden: true });
  const note = h('p', { class: 'unseen', role: 'status' });
  const input = h('input', {
    id,
    class: 'input',
    type: 'text',
    role: 'combobox',
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-autocomplete': 'list',
    'aria-expanded': 'false',
    'aria-controls': listId,
    'aria-describedby': describedBy,
    'aria-required': field.required ? 'true' : null,
    placeholder: field.placeholder ?? 'Search…',
    set: { value: nameFor(value) },
  });
  const open = () => !list.hidden;
  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute('aria-expanded', 'false');
    input.removeAttribute('aria-activedescendant');
  };
  const pick = (option) => {
    chosen = option?.value;
    input.value = option ? nameOf(option) : '';
    close();
    onchange(chosen);
  };
  const mark = (index) => {
    active = index;
    [...list.children].forEach((item, at) => item.setAttribute('aria-selected', String(at === index)));
    const item = list.children[index];
    if (item) {
      input.setAttribute('aria-activedescendant', item.id);
      item.scrollIntoView({ block: 'nearest' });
    } else input.removeAttribute('aria-activedescendant');
  };
  const draw = (found) => {
    const marked = open() ? shown[active] : undefined;
    shown = found.slice(0, 100);
    list.replaceChildren(
      ...(shown.length
        ? shown.map((option) =>
            h('li', { id: freshId('option'), role: 'option', 'aria-selected': 'false', on: { pointerdown: (event) => (event.preventDefault(), pick(option)) } }, nameOf(option)),
          )
        : [h('li', { role: 'option', 'aria-disabled': 'true', 'aria-selected': 'false', class: 'quiet' }, 'Nothing found')]),
    );
    note.textContent = `${shown.length} found`;
    list.hidden = false;
    input.setAttribute('aria-expanded', 'true');
    // What comes in late does not take away what the keys have reached.
    mark(marked ? shown.findIndex((option) => option.value === marked.value) : -1);
  };
  const here = () => {
    const sought = input.value.trim().toLowerCase();
    return options.filter((option) => nameOf(option).toLowerCase().includes(sought));
  };
  const seek = () => {
    draw(here());
    clearTimeout(timer);
    const sought = input.value.trim();
    const mine = (asked += 1);
    timer = setTimeout(async () => {
      const found = await search(sought).catch(() => null);
      if (!found || mine !== asked) return;
      options = [...options, ...found.filter((option) => !options.some((known) => known.value === option.value))];
      if (open()) draw(sought ? here() : found);
    }, 250);
  };
  input.addEventListener('input', seek);
  input.addEventListener('click', () => (open() ? close() : draw(options)));
  input.addEventListener('blur', () => {
    close();
    asked += 1;
    if (input.value.trim() === '') {
      if (chosen !== undefined) pick(null);
    } else {
      const exact = options.find((option) => nameOf(option).toLowerCase() === input.value.trim().toLowerCase());
      if (exact && exact.value !== chosen) pick(exact);
      else input.value = nameFor(chosen);
    }
  });
  input.addEventListener('keydown', (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      if (!open()) draw(input.value === nameFor(chosen) ? options : here());
      if (shown.length) mark((active + step + shown.length + (active < 0 && step < 0 ? 1 : 0)) % shown.length);
    } else if (event.key === 'Enter' && open()) {
      event.preventDefault();
      if (shown[active] || shown.length === 1) pick(shown[active] ?? shown[0]);
    } else if (event.key === 'Escape' && open()) {
      event.preventDefault();
      close();
    }
  });
  return h('div', { class: 'combobox' }, input, glyph(GLYPHS.down), list, note);
}

const TEXTS = { text: 'text', url: 'url', email: 'email', password: 'password', date: 'date', number: 'number' };

/**
 * An editor of one field. `context`: `search(field, text, parent)` asks for choices, `columns(field, lhs)` for a rule's columns,
 * `parent(id)` is the editor of another field, and `changed()` is told of every change.
 */
export function fieldEditor(field, context) {
  const id = freshId(`field-${field.id}`.replace(/[^\w-]/g, '_'));
  const [helpId, errorId] = [`${id}-help`, `${id}-error`];
  const initial = copy(field.value);
  let current = copy(field.value);
  let trouble = null;
  const listeners = [];

  const error = h('p', { id: errorId, class: 'error', hidden: true });
  const body = h('div', { class: 'editor' });
  const describedBy = field.help_text ? `${helpId} ${errorId}` : errorId;
  const isSet = ['map', 'map_v2', 'rule_engine'].includes(field.field_type) || (field.field_type === 'select' && field.multiple);
  const marks = [field.name, field.required ? h('span', { class: 'quiet' }, ' (required)') : null];
  const help = field.help_text ? h('p', { id: helpId, class: 'help' }, rich(field.help_text)) : null;

  const showErrors = (texts) => {
    error.textContent = texts.join(' ');
    error.hidden = !texts.length;
    for (const control of body.querySelectorAll('input, select, textarea')) {
      if (texts.length) control.setAttribute('aria-invalid', 'true');
      else control.removeAttribute('aria-invalid');
    }
  };
  const change = (value) => {
    current = value;
    trouble = null;
    showErrors([]);
    listeners.forEach((listener) => listener());
    context.changed();
  };
  const control = { id, class: 'input', 'aria-describedby': describedBy, 'aria-required': field.required && !isSet ? 'true' : null, placeholder: field.placeholder };

  function waiting() {
    const parent = field.parent && context.parent(field.parent);
    if (parent && parent.value() === undefined) return `Choose “${parent.field.name}” first.`;
    return 'The choices could not be read.';
  }

  /** What stands there while there are no choices. */
  function noChoices() {
    const text = waiting();
    const again = text.startsWith('The') ? button('Try again', () => resolve(), { class: 'button small' }) : null;
    const shown = current === undefined ? text : `${text} Set now: ${typeof current === 'object' ? JSON.stringify(current) : current}.`;
    return h('div', { class: 'row' }, isSet ? h('p', { class: 'quiet' }, shown) : h('select', { ...control, disabled: true }, h('option', {}, shown)), again);
  }

  function editor() {
    const type = field.field_type;
    const common = { label: field.name, field, value: current, onchange: change, errorId };
    if (type === 'boolean') {
      return h(
        'label',
        { class: 'switch' },
        h('input', { id, type: 'checkbox', role: 'switch', 'aria-describedby': describedBy, set: { checked: (current ?? field.default_value) === true }, on: { change: (event) => change(event.target.checked) } }),
        h('span', {}, marks),
      );
    }
    if (type === 'select' || type === 'map') {
      if (!field.options) return noChoices();
      if (type === 'map') return mapEditor(common);
      if (field.multiple) return choices({ ...common, options: field.options });
      if (field.options.length > LONG) return combobox({ id, field, value: current, describedBy, onchange: change, search: (text) => context.search(field, text) });
      const blank = field.default_value === undefined ? 'Choose…' : `Default: ${nameOf(field.options.find((option) => option.value === field.default_value) ?? { value: field.default_value })}`;
      return choice({ options: field.options, value: current, onchange: change, blank, attributes: { ...control, 'aria-label': null } });
    }
    if (type === 'map_v2') return mappingEditor(common);
    if (type === 'rule_engine') return ruleEditor({ ...common, columns: (lhs) => context.columns(field, lhs) });
    if (type === 'json') {
      const typed = current === undefined ? '' : typeof current === 'string' ? current : JSON.stringify(current, null, 2);
      return h('textarea', {
        ...control,
        class: 'input code',
        rows: 5,
        spellcheck: 'false',
        set: { value: typed },
        on: {
          input: (event) => {
            const text = event.target.value.trim();
            if (!text) return change(undefined);
            try {
              change(JSON.parse(text));
            } catch {
              change(current);
              trouble = 'This is not JSON yet: check quotes, commas and brackets.';
            }
          },
          blur: () => trouble && showErrors([trouble]),
        },
      });
    }
    const placeholder = field.placeholder ?? (field.default_value === undefined || type === 'password' ? null : `Default: ${field.default_value}`);
    const read = (event) => {
      const text = event.target.value;
      if (type === 'number' && event.target.validity.badInput) {
        change(current);
        trouble = 'This is no number.';
        return;
      }
      if (text === '') return change(undefined);
      // What the user did not change stays a text if it was one.
      change(type === 'number' && String(initial) !== text ? Number(text) : type === 'number' ? initial : text);
    };
    if (type === 'textarea') return h('textarea', { ...control, placeholder, rows: 4, set: { value: current ?? '' }, on: { input: read } });
    if (!TEXTS[type] || (current !== undefined && typeof current === 'object')) {
      return h('p', { class: 'quiet' }, 'This setting cannot be changed here.');
    }
    const attributes = { ...control, placeholder, type: TEXTS[type], step: type === 'number' ? 'any' : null, autocomplete: type === 'password' ? 'new-password' : 'off' };
    const text = String(current ?? '');
    // A date with a time is more than such a field can show.
    if (type === 'date' && text && !/^\d{4}-\d\d-\d\d$/.test(text)) attributes.type = 'text';
    return h('input', { ...attributes, set: { value: text }, on: { input: read, blur: () => trouble && showErrors([trouble]) } });
  }

  const draw = () => body.replaceChildren(editor());

  /** Asks for the choices anew, with the parent's value as it stands on the page. */
  async function resolve() {
    const parent = field.parent && context.parent(field.parent);
    if (parent && parent.value() === undefined) {
      field.options = undefined;
    } else {
      const found = await context.search(field, undefined, parent?.value()).catch(() => undefined);
      field.options = found;
    }
    draw();
  }

  const node =
    field.field_type === 'boolean'
      ? h('div', { class: 'field' }, body, help, error)
      : isSet
        ? h('fieldset', { class: 'field', 'aria-describedby': describedBy }, h('legend', {}, marks), help, body, error)
        : h('div', { class: 'field' }, h('label', { for: id }, marks), help, body, error);
  draw();

  return {
    field,
    node,
    value: () => current,
    changed: () => !same(current, initial),
    trouble: () => trouble,
    showErrors,
    onchange: (listener) => listeners.push(listener),
    focus: () => body.querySelector('input, select, textarea, button')?.focus(),
    /** What depends on another field is asked for anew when that one changes, and what was chosen before counts no more. */
    follow: (parent) => {
      let before = parent.value();
      parent.onchange(() => {
        if (same(before, parent.value())) return;
        before = copy(parent.value());
        current = undefined;
        listeners.forEach((listener) => listener());
        resolve();
      });
    },
  };
}

/** The fields of a connect form. */
export function inputEditor(input) {
  const id = freshId(`input-${input.name}`.replace(/[^\w-]/g, '_'));
  const [helpId, errorId] = [`${id}-help`, `${id}-error`];
  const describedBy = input.help_text ? `${helpId} ${errorId}` : errorId;
  const attributes = { id, class: 'input', name: input.name, 'aria-describedby': describedBy, 'aria-required': input.required ? 'true' : null, placeholder: input.placeholder, autocomplete: 'off' };
  const text = input.default ?? '';
  const control =
    input.type === 'select'
      ? h('select', attributes, h('option', { value: '' }, 'Choose…'), (input.options ?? []).map((option) => h('option', { value: option.value, selected: option.value === input.default }, option.name)))
      : input.type === 'textarea'
        ? h('textarea', { ...attributes, rows: 5, spellcheck: 'false', set: { value: text } })
        : input.type === 'boolean'
          ? h('input', { ...attributes, class: null, type: 'checkbox', role: 'switch', set: { checked: input.default === 'true' } })
          : h('input', { ...attributes, type: { password: 'password', number: 'number' }[input.type] ?? 'text', autocomplete: input.type === 'password' ? 'new-password' : 'off', spellcheck: 'false', set: { value: text } });
  const error = h('p', { id: errorId, class: 'error', hidden: true });
  const marks = [input.label, input.required ? null : h('span', { class: 'quiet' }, ' (optional)')];
  const help = input.help_text ? h('p', { id: helpId, class: 'help' }, rich(input.help_text)) : null;
  const framed = input.prefix || input.suffix ? h('div', { class: 'affixed' }, input.prefix ? h('span', { class: 'affix' }, input.prefix) : null, control, input.suffix ? h('span', { class: 'affix' }, input.suffix) : null) : control;
  const value = () => (input.type === 'boolean' ? String(control.checked) : control.value.trim());
  const showErrors = (texts) => {
    error.textContent = texts.join(' ');
    error.hidden = !texts.length;
    if (texts.length) control.setAttribute('aria-invalid', 'true');
    else control.removeAttribute('aria-invalid');
  };
  control.addEventListener('input', () => showErrors([]));
  return {
    name: input.name,
    node: input.type === 'boolean' ? h('div', { class: 'field' }, h('label', { class: 'switch' }, control, h('span', {}, marks)), help, error) : h('div', { class: 'field' }, h('label', { for: id }, marks), help, framed, error),
    value,
    missing: () => input.required && value() === '',
    showErrors,
    focus: () => control.focus(),
  };
}

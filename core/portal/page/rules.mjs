// Editors of nested values: mappings of both kinds, and rules.
import { GLYPHS, button, copy, freshId, glyph, h, nameOf } from './dom.mjs';

/** A native list of choices that keeps the values as they are: `1` is not `"1"`. `taken` ones are left out unless they are chosen. */
export function choice({ label, options, value, onchange, blank = 'Choose…', taken = () => false, attributes = {} }) {
  const all = [...options];
  if (value !== undefined && value !== null && value !== '' && !all.some((option) => option.value === value)) {
    all.push({ value, name: `${typeof value === 'object' ? JSON.stringify(value) : value} (no longer offered)` });
  }
  const shown = all.filter((option) => option.value === value || !taken(option.value));
  const select = h(
    'select',
    {
      class: 'input',
      'aria-label': label,
      ...attributes,
      on: { change: () => onchange(select.value === '' ? undefined : shown[Number(select.value)].value) },
    },
    h('option', { value: '' }, blank),
    shown.map((option, index) => h('option', { value: index, selected: option.value === value }, nameOf(option))),
  );
  return select;
}

/** Several choices, as boxes to tick. */
export function choices({ label, options, value, onchange, errorId }) {
  const chosen = Array.isArray(value) ? [...value] : value === undefined || value === null ? [] : [value];
  const all = [...options, ...chosen.filter((own) => !options.some((option) => option.value === own)).map((own) => ({ value: own, name: `${own} (no longer offered)` }))];
  const boxes = all.map((option) =>
    h(
      'label',
      { class: 'tick' },
      h('input', {
        type: 'checkbox',
        'aria-describedby': errorId,
        set: { checked: chosen.includes(option.value) },
        on: {
          change: (event) => {
            if (event.target.checked) chosen.push(option.value);
            else chosen.splice(chosen.indexOf(option.value), 1);
            onchange(all.map((each) => each.value).filter((each) => chosen.includes(each)));
          },
        },
      }),
      h('span', {}, nameOf(option)),
    ),
  );
  if (!boxes.length) return h('p', { class: 'quiet' }, 'There is nothing to choose from.');
  const list = h('div', { class: 'ticks', role: 'group', 'aria-label': label }, boxes);
  if (boxes.length <= 8) return list;
  const filter = h('input', {
    class: 'input',
    type: 'search',
    placeholder: 'Filter',
    'aria-label': `Filter ${label}`,
    on: {
      input: () => {
        const sought = filter.value.trim().toLowerCase();
        boxes.forEach((box, index) => (box.hidden = !nameOf(all[index]).toLowerCase().includes(sought)));
      },
    },
  });
  return h('div', { class: 'stack tight' }, filter, list);
}

/** `map`: fixed entries on the left, a choice for each. */
export function mapEditor({ field, value, onchange }) {
  const current = value && typeof value === 'object' && !Array.isArray(value) ? { ...value } : {};
  const labels = field.labels ?? [];
  if (!labels.length) return h('p', { class: 'quiet' }, 'There is nothing to map yet.');
  const set = (key, chosen) => {
    if (chosen === undefined || (Array.isArray(chosen) && !chosen.length)) delete current[key];
    else current[key] = chosen;
    onchange(Object.keys(current).length ? { ...current } : undefined);
  };
  return h(
    'div',
    { class: 'pairs' },
    labels.map((entry) => {
      const key = String(entry.value);
      const args = { label: `${field.name}: ${nameOf(entry)}`, options: field.options ?? [], value: current[key], onchange: (chosen) => set(key, chosen) };
      return h('div', { class: 'pair' }, h('span', { class: 'left' }, nameOf(entry)), glyph(GLYPHS.arrow), entry.multiple ? choices(args) : choice(args));
    }),
  );
}

/** `map_v2`: rows of a left and a right side; each left side once. */
export function mappingEditor({ field, value, onchange }) {
  const { lhs, rhs } = field.mapping ?? { lhs: { name: 'From' }, rhs: { name: 'To' } };
  // Keys of an object are texts; the choices know what they stand for.
  const left = (key) => (lhs.options ?? []).find((option) => String(option.value) === key)?.value ?? key;
  let rows = Object.entries(value && typeof value === 'object' && !Array.isArray(value) ? value : {}).map(([key, to]) => ({ from: left(key), to: copy(to) }));
  const node = h('div', { class: 'stack tight' });
  const filled = (side) => side !== undefined && side !== '' && !(Array.isArray(side) && !side.length);
  const tell = () => {
    const whole = rows.filter((row) => filled(row.from) && filled(row.to));
    onchange(whole.length ? Object.fromEntries(whole.map((row) => [String(row.from), row.to])) : undefined);
  };
  const text = (label, current, change) =>
    h('input', { class: 'input', type: 'text', 'aria-label': label, set: { value: current ?? '' }, on: { input: (event) => change(event.target.value || undefined) } });
  const draw = (focus) => {
    const taken = (of) => (option) => rows.some((row) => row !== of && row.from === option);
    node.replaceChildren(
      h('div', { class: 'pair heads', 'aria-hidden': 'true' }, h('span', {}, lhs.name), h('span', {}), h('span', {}, rhs.name), h('span', {})),
      ...rows.map((row, index) => {
        const nth = `row ${index + 1}`;
        const from = lhs.options
          ? choice({ label: `${lhs.name}, ${nth}`, options: lhs.options, value: row.from, taken: taken(row), onchange: (chosen) => ((row.from = chosen), tell(), draw()) })
          : text(`${lhs.name}, ${nth}`, row.from, (typed) => ((row.from = typed), tell()));
        const args = { label: `${rhs.name}, ${nth}`, options: rhs.options ?? [], value: row.to, onchange: (chosen) => ((row.to = chosen), tell()) };
        const to = !rhs.options ? text(args.label, row.to, args.onchange) : rhs.multiple ? choices(args) : choice(args);
        const remove = button(glyph(GLYPHS.remove), () => (rows.splice(index, 1), tell(), draw('add')), { class: 'icon', 'aria-label': `Remove ${nth}` });
        return h('div', { class: 'pair editable' }, from, glyph(GLYPHS.arrow), to, remove);
      }),
      ...(rows.length ? [] : [h('p', { class: 'quiet' }, 'Nothing is mapped yet.')]),
      button([glyph(GLYPHS.plus), 'Add a row'], () => (rows.push({}), draw('last')), { class: 'button small add' }),
    );
    if (focus === 'last') node.querySelectorAll('.pair.editable')[rows.length - 1]?.querySelector('select, input')?.focus();
    if (focus === 'add') node.querySelector('.add').focus();
  };
  draw();
  return node;
}

const isGroup = (part) => part !== null && typeof part === 'object' && (Array.isArray(part.conditions) || typeof part.logic === 'string');

/** `rule_engine`: groups of conditions, in each other. What this page does not know of a condition stays as it was. */
export function ruleEditor({ field, value, onchange, columns }) {
  const root = isGroup(value) ? copy(value) : { conditions: [] };
  root.conditions ??= [];
  const known = new Map();
  const of = (lhs) => {
    const key = JSON.stringify(lhs);
    if (!known.has(key)) known.set(key, columns(lhs).catch(() => (known.delete(key), null)));
    return known.get(key);
  };
  const empty = (group) => group.conditions.length === 0;
  const tell = () => onchange(empty(root) ? undefined : copy(root));

  function condition(part, place, remove) {
    const node = h('div', { class: 'condition', role: 'group', 'aria-label': `Condition ${place}` });
    const draw = (found) => {
      const operators = found?.operator?.options?.length ? found.operator.options : DEFAULTS;
      const right = found?.rhs ?? { type: 'text', options: [] };
      const change = (name) => (chosen) => {
        if (chosen === undefined) delete part[name];
        else part[name] = chosen;
        tell();
      };
      const known = part.lhs !== undefined;
      const rhs =
        right.type === 'select'
          ? choice({ label: `Value, condition ${place}`, options: right.options ?? [], value: part.rhs, onchange: (chosen) => ((part.type = 'select'), change('rhs')(chosen)), attributes: { disabled: !known } })
          : h('input', {
              class: 'input',
              type: 'text',
              'aria-label': `Value, condition ${place}`,
              placeholder: 'Value',
              disabled: !known,
              set: { value: part.rhs === undefined ? '' : String(part.rhs) },
              on: { input: (event) => ((part.type = 'text'), change('rhs')(event.target.value === '' ? undefined : event.target.value)) },
            });
      node.replaceChildren(
        choice({
          label: `Field, condition ${place}`,
          options: field.options ?? [],
          value: part.lhs,
          blank: 'Field…',
          onchange: (chosen) => {
            for (const name of ['operator', 'rhs', 'type']) delete part[name];
            change('lhs')(chosen);
            load(true);
          },
        }),
        choice({ label: `Operator, condition ${place}`, options: operators, value: part.operator, blank: 'Is…', onchange: change('operator'), attributes: { disabled: !known } }),
        rhs,
        button(glyph(GLYPHS.remove), remove, { class: 'icon', 'aria-label': `Remove condition ${place}` }),
      );
    };
    const load = async (focus) => {
      draw(null);
      if (part.lhs === undefined) return;
      draw(await of(part.lhs));
      if (focus) node.querySelectorAll('select')[1]?.focus();
    };
    load();
    return node;
  }

  function group(part, place, remove) {
    part.conditions ??= [];
    const node = h('fieldset', { class: remove ? 'group nested' : 'group' });
    const nameId = freshId('logic');
    const draw = (focus) => {
      const logic = h(
        'select',
        { class: 'input small', id: nameId, 'aria-label': `How the conditions${place ? ` of group ${place}` : ''} are combined`, on: { change: () => ((part.logic = logic.value), tell()) } },
        [
          ['AND', 'All of these hold'],
          ['OR', 'Any of these holds'],
        ].map(([word, text]) => h('option', { value: word, selected: (part.logic ?? 'AND') === word }, text)),
      );
      node.replaceChildren(
        h('legend', { class: 'unseen' }, place ? `Group ${place}` : `Rules of ${field.name}`),
        h('div', { class: 'row between' }, logic, remove ? button(glyph(GLYPHS.remove), remove, { class: 'icon', 'aria-label': `Remove group ${place}` }) : null),
        ...part.conditions.map((inner, index) => {
          const at = place ? `${place}.${index + 1}` : `${index + 1}`;
          const away = () => (part.conditions.splice(index, 1), tell(), draw('add'));
          return isGroup(inner) ? group(inner, at, away) : condition(inner, at, away);
        }),
        h(
          'div',
          { class: 'row' },
          button([glyph(GLYPHS.plus), 'Add a condition'], () => (part.conditions.push({}), tell(), draw('last')), { class: 'button small add' }),
          place.split('.').length < 3
            ? button([glyph(GLYPHS.plus), 'Add a group'], () => (part.conditions.push({ logic: 'AND', conditions: [{}] }), (part.logic ??= 'AND'), tell(), draw('last')), { class: 'button small' })
            : null,
        ),
      );
      if (focus === 'last') [...node.querySelectorAll(':scope > .condition, :scope > .group')].pop()?.querySelector('select')?.focus();
      if (focus === 'add') node.querySelector(':scope > .row > .add').focus();
    };
    draw();
    return node;
  }
  return group(root, '', null);
}

const DEFAULTS = [
  ['eq', 'is'],
  ['neq', 'is not'],
  ['start_with', 'starts with'],
  ['end_with', 'ends with'],
  ['greater_or_equal', 'is at least'],
  ['less_or_equal', 'is at most'],
].map(([value, name]) => ({ value, name }));

import fc from 'fast-check';
import { DEFAULTS } from '../../../lib/core/defaults.js';
import { PRIORITIES } from '../../../lib/core/functions/model.js';
import { type Envelope, sliceEnvelope } from '../../../lib/http/json/envelope.js';
import { invokeBody } from '../../../lib/http/json/schema.js';
import { decodeUtf8, isJson, readEnvelope } from '../../../lib/http/json/text.js';

/** What JSON.parse and the schema say of a body: the fast scan must say the same. Blind to fields given twice. */
function bySchema(body: string): { kind: 'badJson' } | { kind: 'invalid'; fields: string[] } | { kind: 'ok'; value: unknown } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return { kind: 'badJson' };
  }
  const checked = invokeBody.safeParse(parsed);
  if (checked.success) return { kind: 'ok', value: checked.data };
  const fields = checked.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys' ? issue.keys : [issue.path.length > 0 ? String(issue.path[0]) : 'body'],
  );
  return { kind: 'invalid', fields: [...new Set(fields)].sort() };
}

const fieldsOf = (envelope: Envelope): string[] =>
  envelope.kind === 'invalid' ? [...new Set(envelope.errors.map((e) => e.field))].sort() : [];

const givenTwice = (envelope: Envelope): boolean =>
  envelope.kind === 'invalid' && envelope.errors.some((e) => e.message === 'is given twice');

function expectSame(body: string): void {
  const mine = sliceEnvelope(body);
  if (givenTwice(mine)) return;
  const theirs = bySchema(body);
  expect(mine.kind).toBe(theirs.kind);
  if (theirs.kind === 'invalid') {
    expect(fieldsOf(mine)).toEqual(theirs.fields.map((f) => f.slice(0, 100)));
  }
  if (mine.kind === 'ok' && theirs.kind === 'ok') {
    const value = theirs.value as { payload?: unknown; qualifier?: string; priority?: string };
    expect(JSON.parse(mine.payload)).toEqual(value.payload === undefined ? null : value.payload);
    expect(mine.qualifier).toBe(value.qualifier);
    expect(mine.priority).toBe(value.priority);
    expect(mine.payload === 'null' || body.includes(mine.payload)).toBe(true);
  }
}

const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\r', '\t'), maxLength: 3 });
const anyJson = fc.json({ maxDepth: 4, stringUnit: 'binary' });
/** A text as JSON, some of its signs spelled as escapes. */
const spelled = (text: string) =>
  fc
    .array(fc.boolean(), { minLength: text.length, maxLength: text.length })
    .map(
      (escaped) =>
        `"${[...text].map((sign, i) => (escaped[i] ? `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}` : JSON.stringify(sign).slice(1, -1))).join('')}"`,
    );
const name = fc
  .oneof(
    { weight: 6, arbitrary: fc.constantFrom('payload', 'qualifier', 'priority') },
    { weight: 1, arbitrary: fc.constantFrom('Payload', 'mode', '__proto__', 'constructor', '', 'toString', 'payload ') },
  )
  .chain(spelled);
const value = fc.oneof(
  { weight: 4, arbitrary: anyJson },
  { weight: 3, arbitrary: fc.constantFrom(...PRIORITIES, '$LATEST', '12', 'live', 'urgent', 'a b', 'x'.repeat(129)).chain(spelled) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('1e400', '-0', '1E-7', '0.10', '"\\ud800"', '"\\/"', '12345678901234567890', '{"__proto__":{"x":1}}'),
  },
);
const member = fc.tuple(space, name, space, space, value, space).map(([a, n, b, c, v, d]) => `${a}${n}${b}:${c}${v}${d}`);
const body = fc.tuple(space, fc.array(member, { maxLength: 4 }), space).map(([a, members, b]) => `${a}{${members.join(',')}}${b}`);

describe('the envelope of an invoke body', () => {
  it('takes and refuses the same generated bodies as the schema, with the same values', () => {
    fc.assert(fc.property(body, expectSame), { numRuns: 3_000 });
  });

  it('takes and refuses the same damaged bodies as JSON.parse and the schema', () => {
    const junk = fc.oneof(fc.constantFrom(...'{}[]",:\\u0 e.-+tfn1\u0000\ufeff\u2028é'), fc.string({ unit: 'binary', maxLength: 2 }));
    const damaged = fc.tuple(body, fc.array(fc.tuple(fc.nat(), fc.nat(2), junk), { minLength: 1, maxLength: 3 })).map(([text, cuts]) =>
      cuts.reduce((now, [where, drop, put]) => {
        const at = where % (now.length + 1);
        return now.slice(0, at) + put + now.slice(at + drop);
      }, text),
    );
    fc.assert(
      fc.property(
        damaged.filter((text) => text.length > 0),
        expectSame,
      ),
      { numRuns: 6_000 },
    );
  });

  it('takes and refuses the same values as JSON.parse, whatever they are', () => {
    const accepts = (text: string) => {
      try {
        JSON.parse(text);
        return true;
      } catch {
        return false;
      }
    };
    const almost = fc.oneof(
      anyJson,
      fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0e.-+tfnrul1 \n'), maxLength: 12 }),
      fc.string({ unit: fc.constantFrom(...'0123456789.eE+-'), maxLength: 8 }),
      fc.string({ unit: 'binary' }).map((text) => `"${text}"`),
    );
    fc.assert(
      fc.property(almost, (text) => expect(isJson(text)).toBe(accepts(text))),
      { numRuns: 10_000 },
    );
  });

  it('hands the payload on byte for byte', () => {
    fc.assert(
      fc.property(space, anyJson, space, fc.boolean(), (before, payload, after, last) => {
        const text = last
          ? `{"priority":"low","payload":${before}${payload}${after}}`
          : `{"payload":${before}${payload}${after},"priority":"low"}`;
        const bytes = Buffer.from(text);
        // A surrogate alone has no UTF-8: what arrives is then the replacement sign, and that is handed on.
        fc.pre(Buffer.from(payload).toString() === payload);
        expect(readEnvelope(bytes)).toEqual({ kind: 'ok', payload: payload.trim(), priority: 'low' });
      }),
    );
  });

  it.each([
    ['an empty body', '', { kind: 'ok', payload: 'null' }],
    ['an empty object', '{}', { kind: 'ok', payload: 'null' }],
    ['numbers beyond a double, unchanged', '{"payload":1e400}', { kind: 'ok', payload: '1e400' }],
    ['digits beyond a double, unchanged', '{"payload":12345678901234567890.10}', { kind: 'ok', payload: '12345678901234567890.10' }],
    ['a lone surrogate spelled as an escape', '{"payload":"\\ud800"}', { kind: 'ok', payload: '"\\ud800"' }],
    ['__proto__ inside the payload', '{"payload":{"__proto__":{"x":1}}}', { kind: 'ok', payload: '{"__proto__":{"x":1}}' }],
    ['a name given twice inside the payload', '{"payload":{"a":1,"a":2}}', { kind: 'ok', payload: '{"a":1,"a":2}' }],
    ['names spelled with escapes', '{"p\\u0061yload":[1]}', { kind: 'ok', payload: '[1]' }],
  ])('takes %s', (_title, text, expected) => {
    expect(sliceEnvelope(text)).toEqual(expected);
  });

  it.each([
    ['a field given twice', '{"payload":1,"payload":1}', ['payload']],
    ['a field given twice under another spelling', '{"payload":1,"p\\u0061yload":1}', ['payload']],
    ['unknown fields, each by name', '{"mode":"sync","payload":1,"evil":{}}', ['evil', 'mode']],
    ['__proto__ as a field', '{"__proto__":{}}', ['__proto__']],
    ['an array', '[]', ['body']],
    ['null', ' null ', ['body']],
    ['a qualifier that is a number', '{"qualifier":1}', ['qualifier']],
    ['a priority of its own making', '{"priority":"now!"}', ['priority']],
  ])('refuses %s', (_title, text, fields) => {
    expect(fieldsOf(sliceEnvelope(text))).toEqual(fields);
  });

  it.each([
    ['a byte order mark', Buffer.from('\ufeff{"payload":1}'), /byte order mark/],
    ['Latin-1', Buffer.from([...Buffer.from('{"payload":"'), 0xe9, ...Buffer.from('"}')]), /UTF-8/],
    ['a surrogate encoded as bytes', Buffer.from([...Buffer.from('{"payload":"'), 0xed, 0xa0, 0x80, ...Buffer.from('"}')]), /UTF-8/],
    ['an overlong form', Buffer.from([0x22, 0xc0, 0xaf, 0x22]), /UTF-8/],
    ['a zero byte', Buffer.from('{"payload":"\u0000"}'), /position 12/],
    ['a cut body', Buffer.from('{"payload":[1,2'), /ends before/],
    ['text after the object', Buffer.from('{"payload":1} x'), /position 14/],
    ['an open name', Buffer.from('{"payload'), /ends before/],
    ['space only', Buffer.from(' \n'), /ends before/],
  ])('refuses %s as not JSON and says where', (_title, bytes, detail) => {
    const answer = readEnvelope(bytes);
    expect(answer.kind === 'badJson' && answer.detail).toMatch(detail);
  });

  it('takes nesting up to the limit and refuses one level more, however deep, without a stack', () => {
    const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
    const limit = DEFAULTS.jsonDepth;
    expect(sliceEnvelope(`{"payload":${nested(limit)}}`).kind).toBe('ok');
    expect(isJson(nested(limit))).toBe(true);
    expect(isJson('{"a":'.repeat(limit) + 1 + '}'.repeat(limit))).toBe(true);
    for (const depth of [limit + 1, 3_000_000]) {
      const answer = sliceEnvelope(`{"payload":${nested(depth)}}`);
      expect(answer.kind === 'badJson' && answer.detail).toMatch(/nested deeper than 512 levels/);
      expect(isJson('{"a":'.repeat(depth))).toBe(false);
    }
  });

  it('refuses every control sign in a text, short or long, and takes all others', () => {
    for (let code = 0; code < 256; code += 1) {
      for (const before of ['', 'x'.repeat(24), 'x'.repeat(100)]) {
        const text = `"${before}${String.fromCharCode(code)}"`;
        const expected = code >= 32 && code !== 34 && code !== 92;
        expect([code, before.length, isJson(text)]).toEqual([code, before.length, expected]);
      }
    }
  });

  it('decodes valid UTF-8 only', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const text = decodeUtf8(Buffer.from(bytes));
        const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
        let expected: string | undefined;
        try {
          expected = strict.decode(bytes);
        } catch {}
        expect(text).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});

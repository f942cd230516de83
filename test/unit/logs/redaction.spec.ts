import fc from 'fast-check';
import { passesLuhn, redact, redactLine } from '../../../lib/core/logs/redaction.js';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const text = (alphabet: string, length: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...alphabet), { minLength: length, maxLength: length }).map((signs) => signs.join(''));

/** Secrets whose form alone gives them away. */
const planted: Record<string, fc.Arbitrary<string>> = {
  'an AWS access key id': text('ABCDEFGHIJKLMNOPQRSTUVWXYZ234567', 16).map((rest) => `AKIA${rest}`),
  'a key of this platform': text('0123456789abcdefghjkmnpqrstvwxyz', 32).map((rest) => `fns_${rest}`),
  'a JSON web token': fc.tuple(text(LETTERS, 20), text(LETTERS, 30), text(LETTERS, 43)).map(([a, b, c]) => `eyJ${a}.eyJ${b}.${c}`),
  'a GitHub token': text(LETTERS, 36).map((rest) => `ghp_${rest}`),
  'a card number': fc
    .tuple(fc.constantFrom('4', '51', '55', '2221', '6011', '62'), text('0123456789', 20), fc.constantFrom('', ' ', '-'))
    .map(([start, rest, gap]) => {
      const digits = (start + rest).slice(0, 15);
      const check = [...'0123456789'].find((digit) => passesLuhn(digits + digit)) as string;
      return (digits + check).replace(/(\d{4})(?=\d)/g, `$1${gap}`);
    }),
};

const SECRET_NAMES = [
  'password',
  'DB_PASSWORD',
  'userPassword',
  'passwd',
  'pwd',
  'secret',
  'client_secret',
  'clientSecret',
  'apiKey',
  'api_key',
  'x-api-key',
  'token',
  'access_token',
  'sessionToken',
  'AWS_SECRET_ACCESS_KEY',
  'SecretAccessKey',
  'privateKey',
  'credentials',
  'passphrase',
];
/** How programs print a name and its value. */
const PRINTED: readonly ((name: string, value: string) => string)[] = [
  (name, value) => `${name}=${value}`,
  (name, value) => `${name}: ${value}`,
  (name, value) => JSON.stringify({ a: 1, [name]: value, b: [2] }),
  (name, value) => JSON.stringify({ message: JSON.stringify({ [name]: value }) }),
  (name, value) => JSON.stringify(JSON.stringify({ m: JSON.stringify({ [name]: value }) })),
  (name, value) => `{ '${name}': '${value}' }`,
  (name, value) => `{ ${name}: '${value}' }`,
  (name, value) => `https://example.com/?${name}=${value}&x=1`,
  (name, value) => `${name} => "${value}"`,
];
const value = text(`${LETTERS}+/=_.-!`, 24).filter((secret) => /[A-Za-z]{2}/.test(secret));

/** Ordinary text: words that hold no letters of a trigger, numbers too short for a card. */
const words = fc.array(
  fc.oneof(
    text('bdfhjlmnqvxz', 5),
    // With a letter behind, so that neighbours never make up a card's digits.
    fc.integer({ min: 0, max: 9_999_999 }).map((n) => `${n}ms`),
    fc.constantFrom('{', '}', '[ok]', '"', "'", ',', '->', 'ünï', '🙂', '\t'),
  ),
  { maxLength: 12 },
);

describe('redaction', () => {
  for (const [what, secret] of Object.entries(planted)) {
    it(`never lets ${what} pass, whatever stands around it`, () => {
      fc.assert(
        fc.property(words, secret, words, fc.constantFrom(' ', '"', "'", '=', ':', '(', ','), (before, planted, after, joint) => {
          const clean = redact([...before, joint + planted + joint, ...after].join(' '));
          expect(clean).not.toContain(planted);
          expect(clean).toContain('[redacted:');
        }),
      );
    });
  }

  it('never lets the value of a telling name pass, however it is printed', () => {
    fc.assert(
      fc.property(
        words,
        fc.constantFrom(...SECRET_NAMES),
        value,
        fc.constantFrom(...PRINTED),
        words,
        (before, name, secret, print, after) => {
          expect(redact([...before, print(name, secret), ...after].join(' '))).not.toContain(secret);
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('takes the secret out and nothing else', () => {
    fc.assert(
      fc.property(words, text(LETTERS, 12), words, (before, secret, after) => {
        const [left, right] = [before.join(' '), after.join(' ')];
        expect(redact(`${left} password=${secret} ${right}`)).toBe(`${left} password=[redacted:secret] ${right}`);
      }),
    );
  });

  it('never alters text without a secret', () => {
    fc.assert(fc.property(words, (plain) => expect(redact(plain.join(' '))).toBe(plain.join(' '))));
  });

  it('changes nothing the second time', () => {
    fc.assert(
      fc.property(
        words,
        fc.constantFrom(...SECRET_NAMES),
        fc.oneof(value, ...Object.values(planted)),
        fc.constantFrom(...PRINTED),
        (before, name, secret, print) => {
          const once = redact(`${before.join(' ')} ${print(name, secret)}`);
          expect(redact(once)).toBe(once);
        },
      ),
    );
  });

  it.each([
    ['times and ids', '2026-11-20T10:00:00.123Z order 1795210000000 took 12.4 ms, id 550e8400-e29b-41d4-a716-446655440000'],
    ['a time in microseconds', 'at 1795210000000000 us'],
    ['a long number that no issuer gives', 'sum 1234567890123456'],
    ['a card-like number that fails the check digit', '4111 1111 1111 1112'],
    ['digits of a fraction', '0.4111111111111111'],
    ['a hexadecimal digest', 'sha256 4111111111111111aa34bb'],
    ['words that are like names of secrets', 'tokens: 15, max_tokens=12, secretary: Ann, broken: yes, the password was wrong'],
    ['a secret that is not there', 'password: undefined, token=null, {"secret":false,"pwd":""}'],
    ['a parser that complains', 'SyntaxError: Unexpected token } in JSON at position 3'],
    ['prose with bearer', 'the bearer certificates were basic understanding'],
    ['ids of this platform', 'fn_0123456789abcdefghjk req_01jd0123456789abcdefghjkmn trg_01'],
    ['a URL without a password', 'GET https://user@example.com:8080/path?x=1'],
    ['a public key', '-----BEGIN PUBLIC KEY----- MIIB -----END PUBLIC KEY-----'],
  ])('leaves alone %s', (_, plain) => expect(redact(plain)).toBe(plain));

  it.each([
    ['Authorization: Bearer abc', 'Authorization: Bearer [redacted:token]'],
    ["headers: { authorization: 'Basic dXNlcjpwYXNz' }", "headers: { authorization: '[redacted:secret]' }"],
    ['postgres://me:s3cret@db/x', 'postgres://me:[redacted:password]@db/x'],
    ['Cookie: session=abc; theme=dark', 'Cookie: [redacted:cookie]'],
    ['3782-822463-10005 paid', '[redacted:card] paid'],
    ['-----BEGIN EC PRIVATE KEY-----\\nMHcCAQ\\n-----END EC PRIVATE KEY----- tail', '[redacted:private-key] tail'],
    ['-----BEGIN PRIVATE KEY-----\nMHcCAQ that was cut', '[redacted:private-key]'],
    ['{"password":"with \\" quote","n":1}', '{"password":"[redacted:secret]","n":1}'],
  ])('redacts %j', (dirty, clean) => expect(redact(dirty)).toBe(clean));

  it('follows a private key over its lines, and stops where it ends or other output begins', () => {
    const lines = [
      '-----BEGIN PRIVATE KEY-----',
      'MIIEvQIBADANBgkqhkiG9w0BAQEFAASC',
      'Q0FRRUE=',
      '-----END PRIVATE KEY----- done',
      'plain',
    ];
    const clean: string[] = [];
    let inKey = false;
    for (const line of lines) {
      const next = redactLine(line, inKey);
      clean.push(next.text);
      inKey = next.inKey;
    }
    const mark = '[redacted:private-key]';
    expect(clean).toEqual([mark, mark, mark, `${mark} done`, 'plain']);
    expect(redactLine('something else, with (signs)', true)).toEqual({ text: 'something else, with (signs)', inKey: false });
  });

  it.each([
    ['digits', '1 '.repeat(32_000)],
    ['names', 'password:'.repeat(7_000)],
    ['quotes', `token=${'"\\'.repeat(30_000)}`],
    ['escaped quotes', 'token=\\"'.repeat(8_000)],
    ['key prefixes', 'fns_'.repeat(16_000)],
    ['key beginnings', '-----BEGIN PRIVATE KEY-----'.repeat(2_400)],
    ['addresses', '://a:'.repeat(13_000)],
    ['token prefixes', 'eyJaaaaaaaa.'.repeat(5_000)],
    ['bearers', 'bearer '.repeat(9_000)],
    ['blanks', `authorization${' '.repeat(60_000)}`],
  ])('a line of 64 KB of %s, made to be slow, takes no time', (_, evil) => {
    const startedAt = performance.now();
    redact(evil);
    expect(performance.now() - startedAt).toBeLessThan(200);
  });
});

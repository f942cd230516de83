/**
 * Takes secrets out of log text by pattern, before the text is stored. Pure. What is known to be missed: a secret
 * with no recognisable form and no telling name before it, and an unquoted value after its first blank.
 */

const mark = (kind: string): string => `[redacted:${kind}]`;

/** Anything that a rule below could match contains one of these: most lines hold none and are passed on at once. */
const TRIGGER =
  /a[kros]ia|aroa|a[ib]ia|acca|aida|bearer|authorization|fns_|eyj|-----begin|passw|passphrase|pwd|secret|token|api[_-]?key|private[_-]?key|credential|:\/\/|gh[pousr]_|github_pat_|xox[abeprs]-|[sr]k_live_|[sr]k_test_|sk-|aiza|cookie|\d(?:[ -]?\d){13}/i;

interface Rule {
  kind: string;
  pattern: RegExp;
  /** The replacement; `$1` is what stays in front of the secret. */
  to: string;
}

const rule = (kind: string, pattern: RegExp, to = mark(kind)): Rule => ({ kind, pattern, to });

/** A body that ends at the END line, or at the end of the text where a long line was cut. */
const PRIVATE_KEY = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----|$)/g;

/** Forms that give themselves away, whatever stands before them. */
const FORMS: readonly Rule[] = [
  rule('jwt', /(?<![\w-])eyJ[\w-]{8,}(?:\.[\w-]*){2,4}/g),
  rule('aws-key', /(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA|AIPA|ANPA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])/g),
  rule('fns-key', /(?<![A-Za-z0-9_])fns_(?:[0-9a-hjkmnp-tv-z]{32}|(?=[\w-]{0,200}[0-9])[\w-]{20,})/g),
  rule(
    'token',
    /(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|xox[abeprs]-[\w-]{10,}|[sr]k_(?:live|test)_\w{16,}|sk-[\w-]{24,}|AIza[\w-]{35})/g,
  ),
  // A word such as "bearer certificates" is no token: one of 20 signs, or with a digit in it, is.
  rule('token', /\b(bearer\s{1,4})(?:(?=[^\s,;"']{0,200}\d)[\w.~+/=-]{6,}|[\w.~+/=-]{20,})/gi, `$1${mark('token')}`),
  rule(
    'token',
    /\b(authorization["'\\]{0,4}\s{0,4}[:=]\s{0,4}["'\\]{0,4}(?:basic|bearer|digest|negotiate|token)\s{1,4})[^\s,;"'\\[]+/gi,
    `$1${mark('token')}`,
  ),
  rule('cookie', /(\bcookie["'\\]{0,4}\s{0,4}:\s{0,4})(?!\[redacted:)[^\s"'\\[{(][^\r\n"'\\]*/gi, `$1${mark('cookie')}`),
  // scheme://user:password@host
  rule('password', /(:\/\/[^\s:/@"']{0,200}:)(?!\[redacted:)[^\s@/"']{1,200}(?=@)/g, `$1${mark('password')}`),
];

/** How a name ends whose value is a secret: `DB_PASSWORD`, `dbPassword`, `x-api-key`, `client_secret`, `SecretAccessKey` … */
const NAME = '(?:passw(?:or)?d|passphrase|pwd|secret|(?:api|access|private|secret)[_-]?key|token|authorization|credentials?|cookie)';
/** The name, maybe quoted (and its quotes escaped, for JSON inside JSON), then `:`, `=` or `=>`. */
const ASSIGNMENT = `(${NAME}(?:\\\\{0,3}["'])?\\s{0,4}(?:=>|[:=])\\s{0,4})`;
/** Saying that there is no secret is no secret, and helps who looks for a bug. */
const HARMLESS =
  '(?!(?:null|undefined|none|true|false|nil)(?=[\\s,;&)}\\]]|$))(?!\\[redacted:)(?!(?:basic|bearer|digest|negotiate|token)\\s{1,4}\\[redacted:)';
const NAMED = new RegExp(
  `${ASSIGNMENT}(?:` +
    // escaped quotes: the value ends at the next escaped quote
    `(?<escaped>\\\\{1,3}["'])(?!\\[redacted:)(?<inEscaped>(?:(?!\\\\{1,3}["']).)+)` +
    `|(?<quote>["'\`])(?!\\[redacted:)(?<inQuotes>(?:\\\\.|(?!\\k<quote>)[^\\\\])+)` +
    `|${HARMLESS}(?<bare>[^\\s,;&"'\`<>(){}\\[\\]\\\\]+)` +
    ')',
  'gis',
);

function redactNamed(text: string): string {
  return text.replace(NAMED, (...found) => {
    const groups = found.at(-1) as Record<string, string | undefined>;
    const open = groups.escaped ?? groups.quote ?? '';
    return `${found[1]}${open}${mark('secret')}`;
  });
}

/** 13 to 19 digits, one blank or dash between them at most, no letter or digit on either side and no decimal point before. */
const DIGITS = /(?<![A-Za-z0-9_]|\d[.-])\d(?:[ -]?\d){13,18}(?![A-Za-z0-9_]|[-]\d)/g;

/** Issuers' number ranges, so that a time in microseconds or an order number is left alone. */
const CARD =
  /^(?:4\d{15}(?:\d{3})?|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17})$/;

/** Luhn's check digit (ISO/IEC 7812-1). */
export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let place = 0; place < digits.length; place += 1) {
    const digit = digits.charCodeAt(digits.length - 1 - place) - 48;
    sum += place % 2 === 0 ? digit : digit > 4 ? digit * 2 - 9 : digit * 2;
  }
  return sum % 10 === 0;
}

const redactCards = (text: string): string =>
  text.replace(DIGITS, (found) => {
    const digits = found.replace(/[ -]/g, '');
    return CARD.test(digits) && passesLuhn(digits) ? mark('card') : found;
  });

/** The text without its secrets; the same text where there are none. */
export function redact(text: string): string {
  if (!TRIGGER.test(text)) return text;
  let clean = text.includes('PRIVATE KEY') ? text.replace(PRIVATE_KEY, mark('private-key')) : text;
  for (const { pattern, to } of FORMS) clean = clean.replace(pattern, to);
  return redactCards(redactNamed(clean));
}

const BEGIN = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----/;
const END = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY( BLOCK)?-----/;
/** What may stand in a key between its first and last line. */
const KEY_BODY = /^(?:\s*[A-Za-z0-9+/=\s]*|\s*[A-Z][A-Za-z-]+:.*)$/;

/**
 * One line of several, because a private key printed as a whole arrives line by line.
 * @param inKey a key began on a line before, in the same output, and has not ended.
 */
export function redactLine(text: string, inKey: boolean): { text: string; inKey: boolean } {
  if (!inKey) return { text: redact(text), inKey: text.includes('PRIVATE KEY') && BEGIN.test(text) && !END.test(text) };
  const end = END.exec(text);
  if (end) return { text: mark('private-key') + redact(text.slice(end.index + end[0].length)), inKey: false };
  return KEY_BODY.test(text) ? { text: mark('private-key'), inKey: true } : { text: redact(text), inKey: false };
}

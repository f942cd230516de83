import { parseProject } from '../../../lib/cli/project/read.js';

const parse = (text: string, env: NodeJS.ProcessEnv = {}) => parseProject(text, 'fns.yaml', env);
function mistakes(text: string, env: NodeJS.ProcessEnv = {}): string[] {
  try {
    parse(text, env);
  } catch (error) {
    return (error as Error).message.split('\n').map((line) => line.trim());
  }
  throw new Error('no mistake was found');
}

const GOOD = `
functions:
  hello:
    runtime: nodejs20
    env:
      PORT: 8080
      DEBUG: true
    triggers:
      - type: http
        path: /hello
        cors: true
`;

describe('fns.yaml', () => {
  it('gives functions with their settings; numbers and booleans in env are text', () => {
    expect(parse(GOOD)).toEqual({
      namespace: 'default',
      functions: {
        hello: {
          code: '.',
          runtime: 'nodejs20',
          env: { PORT: '8080', DEBUG: 'true' },
          triggers: [{ type: 'http', path: '/hello', cors: {} }],
        },
      },
    });
  });

  it('takes a variable in braces after a dollar from the environment, and leaves it after two dollars', () => {
    const token = `$${'{TOKEN}'}`;
    const text = `functions:\n  a:\n    runtime: nodejs20\n    env:\n      TOKEN: x-${token}\n      RAW: $${token}\n`;
    expect(parse(text, { TOKEN: 'abc' }).functions.a?.env).toEqual({ TOKEN: 'x-abc', RAW: token });
    expect(mistakes(text)).toEqual([`fns.yaml:5:14 ${token} is not set in the environment`]);
  });

  it.each([
    [
      'an unknown key, with the one that was meant',
      'functions:\n  a:\n    runtime: nodejs20\n    memory: 12',
      "fns.yaml:4:5 'memory' is not known here; did you mean 'memoryMb'?",
    ],
    [
      'an unknown key in a trigger',
      'functions:\n  a:\n    runtime: nodejs20\n    triggers:\n      - type: http\n        path: /x\n        metods: [GET]',
      "fns.yaml:7:9 'metods' is not known here; did you mean 'methods'?",
    ],
    ['an unknown key at the top', 'function:\n  a: {}\n', "fns.yaml:1:1 'function' is not known here; did you mean 'functions'?"],
    [
      'a wrong type',
      'functions:\n  a:\n    runtime: nodejs20\n    timeoutSec: long',
      'fns.yaml:4:17 functions.a.timeoutSec must be a whole number from 1 to 900',
    ],
    [
      'a number out of range',
      'functions:\n  a:\n    runtime: nodejs20\n    memoryMb: 1',
      'fns.yaml:4:15 functions.a.memoryMb must be at least 64',
    ],
    [
      'an unknown runtime',
      'functions:\n  a:\n    runtime: cobol',
      /^fns\.yaml:3:14 functions\.a\.runtime is not a runtime; there are nodejs20,/,
    ],
    ['a missing field, at the thing that lacks it', 'functions:\n  a:\n    handler: x.y', 'fns.yaml:2:3 functions.a.runtime is missing'],
    [
      'a trigger without its path',
      'functions:\n  a:\n    runtime: nodejs20\n    triggers:\n      - type: cron\n        schedule: 0 3 * * *\n      - type: http',
      'fns.yaml:7:9 functions.a.triggers.1.path is missing',
    ],
    [
      'a wrong type of trigger',
      'functions:\n  a:\n    runtime: nodejs20\n    triggers:\n      - type: htp',
      /^fns\.yaml:5:\d+ functions\.a\.triggers\.0\.type must be http, cron or queue$/,
    ],
    [
      'a schedule that is none',
      'functions:\n  a:\n    runtime: nodejs20\n    triggers:\n      - type: cron\n        schedule: 1 2 3',
      /^fns\.yaml:6:19 schedule a Unix schedule has five fields/,
    ],
    ['a name that is none', 'functions:\n  "a b":\n    runtime: nodejs20', /^fns\.yaml:2:3 'a b' is no name of a function/],
    ['no function at all', 'functions: {}', 'fns.yaml:1:12 functions must name at least one function'],
    ['a key that stands twice', 'functions:\n  a:\n    runtime: nodejs20\n    runtime: nodejs22', /^fns\.yaml:4:5 .*unique/],
    ['broken YAML', 'functions:\n  a: [', /^fns\.yaml:2:\d+ /],
  ])('tells %s with its line', (_, text, expected) => {
    const [first] = mistakes(text);
    if (typeof expected === 'string') expect(first).toBe(expected);
    else expect(first).toMatch(expected);
  });

  it('tells all mistakes at once', () => {
    expect(mistakes('functions:\n  a:\n    runtime: nodejs20\n    memoryMb: 1\n    foo: 1\n')).toHaveLength(2);
  });

  it('an empty file is a mistake, not a crash', () => {
    expect(mistakes('')).toEqual(['fns.yaml functions is missing']);
  });
});

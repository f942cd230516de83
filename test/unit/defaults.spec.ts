import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DEFAULTS } from '../../lib/core/defaults.js';

const ROOT = join(__dirname, '..', '..');
const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

const scaled = (value: number, units: readonly (readonly [name: string, size: number])[]): string => {
  const [name, size] = units.find(([, each]) => value >= each && value % each === 0) ?? (units.at(-1) as [string, number]);
  return `${(value / size).toLocaleString('en-US')} ${name}`;
};
const TIME = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const;
const SIZE = [
  ['GB', 1024 ** 3],
  ['MB', 1024 ** 2],
  ['KB', 1024],
  ['bytes', 1],
] as const;

/** As the table shows it: the unit is that of the name. A day is `24 h`: nobody means midnight by it. */
function shown(name: string, value: number): string {
  if (name.includes('Bytes')) return scaled(value, SIZE);
  if (name.includes('Ms')) return scaled(value, value > 86_400_000 ? TIME : TIME.slice(1));
  if (name.startsWith('timeoutSec')) return `${value} s`;
  if (name.includes('Sec')) return scaled(value * 1000, TIME);
  return value.toLocaleString('en-US') + (name.startsWith('memoryMb') ? ' MB' : '');
}

const flat = (of: object, before = ''): [name: string, value: number][] =>
  Object.entries(of).flatMap(([name, value]) => (typeof value === 'object' ? flat(value, `${before}${name}.`) : [[before + name, value]]));

describe('docs/defaults.md', () => {
  const rows = new Map(
    [...text('docs/defaults.md').matchAll(/^\| `([^`]+)` \| ([^|]+) \| [^|]+ \|$/gm)].map(([, name, value]) => [name, value]),
  );

  it('has every default with its value', () => {
    const wanted = flat(DEFAULTS).map(([name, value]) => [name, shown(name, value)]);
    expect(wanted.map(([name]) => [name, rows.get(name as string)])).toEqual(wanted);
  });

  it('has every setting that `npm start` reads, and no other', () => {
    const read = new Set(
      [...text('lib/embedded/settings.ts').matchAll(/\bFNS_[A-Z_]+/g)]
        .map(([name]) => name)
        .filter((name) => !name.startsWith('FNS_TEST_')),
    );
    expect([...rows.keys()].filter((name) => name?.startsWith('FNS_')).sort()).toEqual([...read].sort());
  });

  it('has nothing that is gone', () => {
    const known = new Set(flat(DEFAULTS).map(([name]) => name));
    expect([...rows.keys()].filter((name) => !name?.startsWith('FNS_') && !known.has(name as string))).toEqual([]);
  });
});

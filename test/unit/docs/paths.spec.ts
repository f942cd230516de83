import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = join(__dirname, '../../..');
const pages = [
  'README.md',
  ...['docs', 'docs/adr'].flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`)),
].filter((path) => path.endsWith('.md'));

describe('the documentation', () => {
  it.each(pages)('names only files that are there: %s', (page) => {
    const text = readFileSync(join(root, page), 'utf8');
    const named = [...text.matchAll(/`((?:lib|test|bench|runtimes|scripts|examples|bin)\/[\w./-]+)`/g)].map((found) => found[1] as string);
    const linked = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map((found) => join(dirname(page), found[1] as string));
    expect([...named, ...linked].filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});

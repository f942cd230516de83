import { notFound } from '../../lib/core/refusal.js';

describe('what is not there', () => {
  it('tells how a function is found by its name, where a name stood in the place of an id', () => {
    expect(notFound('function', 'greet').message).toContain('GET /api/v1/functions?name=greet');
  });

  it.each([
    ['function', 'fn_1ryv6skj00c4a3rscx8s'],
    ['function', 'team/greet'],
    ['function', 'gr eet&x=1'],
    ['trigger', 'greet'],
  ])('says no more than that for a %s called %s', (what, id) => {
    expect(notFound(what, id).message).toBe(`There is no ${what} '${id}' that this key may see.`);
  });
});

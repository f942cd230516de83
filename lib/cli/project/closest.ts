/** The known word that was probably meant, or none: at most a third of its signs differ (Levenshtein). */
export function closest(word: string, known: readonly string[]): string | undefined {
  let best: { word: string; distance: number } | undefined;
  for (const each of known) {
    const distance = levenshtein(word.toLowerCase(), each.toLowerCase());
    if (distance <= Math.max(1, Math.floor(each.length / 3)) && (!best || distance < best.distance)) best = { word: each, distance };
  }
  return best?.word;
}

function levenshtein(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const changed = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

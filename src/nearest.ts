/** The one of `words` that was probably meant, at most a third of its letters away; undefined where none is so near. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  let best: { word: string; distance: number } | undefined;
  for (const one of words) {
    const distance = editDistance(word, one);
    if (distance <= one.length / 3 && distance < (best?.distance ?? Infinity)) best = { word: one, distance };
  }
  return best?.word;
}

/** How many letters have to be put in, taken out or replaced (Levenshtein). */
function editDistance(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let at = 0; at < from.length; at++) {
    const row = [at + 1];
    for (let index = 0; index < to.length; index++) {
      const replaced = (above[index] ?? 0) + (from[at] === to[index] ? 0 : 1);
      row.push(Math.min(replaced, (above[index + 1] ?? 0) + 1, (row[index] ?? 0) + 1));
    }
    above = row;
  }
  return above.at(-1) ?? 0;
}

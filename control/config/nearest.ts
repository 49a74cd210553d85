/** What was probably meant by a word that is not one of those known. */

/** The known word that is most like this one; undefined where none is like it enough to be meant. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  const wanted = word.toLowerCase();
  // One slip in a short word, two in a longer one; what differs only in capitals is no slip at all.
  let best = wanted.length < 5 ? 1 : 2;
  let found: string | undefined;
  for (const candidate of known) {
    const distance = slips(wanted, candidate.toLowerCase());
    if (distance > best || (distance === best && found !== undefined)) continue;
    // A word of two letters is one slip from too many others.
    if (distance > 0 && Math.max(wanted.length, candidate.length) < 3) continue;
    best = distance;
    found = candidate;
  }
  return found;
}

/** The same for the end of a message about a word that is nothing: `; did you mean vm0?`, or nothing. */
export function meantHint(word: string, known: Iterable<string>): string {
  const meant = nearest(word, known);
  return meant === undefined ? "" : `; did you mean ${meant}?`;
}

/** Letters to insert, to leave out, to replace, or to swap with the next, from one word to the other. */
function slips(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = last[column - 1]! + Number(a[row - 1] !== b[column - 1]);
      let fewest = Math.min(replaced, last[column]! + 1, current[column - 1]! + 1);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        fewest = Math.min(fewest, beforeLast[column - 2]! + 1);
      }
      current.push(fewest);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length]!;
}

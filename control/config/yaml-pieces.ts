/**
 * Where a YAML text can be cut so that each piece means by itself what it means in the whole: before each entry of its outermost
 * mapping, and before each of a block list or block mapping in there.
 *
 *     portalGroups: [...]        a section in one piece
 *     targets:                   a section whose entries are pieces: each up to the line where the next begins
 *       # virtual machines
 *       - name: a
 *         luns: { 0: vm0 }
 *       - { name: b }
 *
 * Block collections are made so (YAML 1.2.2, section 8.2): an entry begins at their indentation, and ends before the next line
 * that is indented as little. Only the beginnings of lines are looked at here. Where they deceive (the second line of a quoted text
 * may look like an entry), whoever reads the pieces finds others than these.
 */

/** Offsets into the text. */
export interface Piece {
  readonly start: number;
  readonly end: number;
}

/** An entry of the outermost mapping. */
export interface Section extends Piece {
  /** Null: it is one piece. */
  readonly entries: Entries | null;
}

export interface Entries {
  /** The section's key. */
  readonly key: string;
  readonly kind: Kind;
  /** Where the first one's dash or key stands. */
  readonly offset: number;
  /** At least one. */
  readonly pieces: readonly Piece[];
}

export type Kind = "list" | "mapping";

/** A section's first line, where what it holds begins in another. */
const HEAD = /^([A-Za-z]\w*):(?: +(?:#.*)?)?$/;
/** Keys that are no text. */
const NO_TEXT = /^(?:true|false|null)$/i;

/** Null where the text is written in another way. */
export function cut(text: string): Section[] | null {
  // A line break too, where it stands alone.
  if (text.includes("\r")) return null;
  const outermost = cutBlock(text, { start: 0, end: text.length });
  if (outermost === null || outermost.kind !== "mapping" || outermost.indent !== 0) return null;
  return outermost.pieces.map((piece) => ({ ...piece, entries: entriesOf(text, piece) }));
}

function entriesOf(text: string, { start, end }: Piece): Entries | null {
  const bodyStart = lineEnd(text, start, end);
  const key = HEAD.exec(text.slice(start, bodyStart).trimEnd())?.[1];
  if (key === undefined || NO_TEXT.test(key)) return null;
  const block = cutBlock(text, { start: bodyStart, end });
  return block && { key, kind: block.kind, offset: block.pieces[0]!.start + block.indent, pieces: block.pieces };
}

/** The entries of the one block collection that these lines are. Comments belong to what is before them. */
function cutBlock(text: string, { start, end }: Piece): { kind: Kind; indent: number; pieces: Piece[] } | null {
  let kind: Kind | null = null;
  let indent = 0;
  const starts: number[] = [];
  for (let line = start; line < end; line = lineEnd(text, line, end)) {
    let at = line;
    while (text[at] === " ") at++;
    if (at >= end || text[at] === "\n" || text[at] === "#") continue;
    if (kind === null) {
      kind = kindAt(text, at);
      indent = at - line;
    }
    if (at - line > indent) continue;
    const here = at - line === indent ? kindAt(text, at) : null;
    // A list may stand right below its key.
    if (kind === "mapping" && here === "list") continue;
    if (here === null || here !== kind) return null;
    starts.push(line);
  }
  if (kind === null) return null;
  return { kind, indent, pieces: starts.map((from, i) => ({ start: from, end: starts[i + 1] ?? end })) };
}

/** Of which collection an entry begins here; null: something else does. */
function kindAt(text: string, at: number): Kind | null {
  if (text[at] === "-") return /^(?:[ \n]|$)/.test(text.slice(at + 1, at + 2)) ? "list" : null;
  return /[\w"'/]/.test(text[at]!) ? "mapping" : null;
}

/** Behind the line break of the line. */
function lineEnd(text: string, line: number, end: number): number {
  const lineBreak = text.indexOf("\n", line);
  return lineBreak === -1 || lineBreak >= end ? end : lineBreak + 1;
}

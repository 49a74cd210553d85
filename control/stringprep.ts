/**
 * The stringprep profile for iSCSI names (RFC 3722, by RFC 3454): the form in which names compare byte for byte (RFC 7143 section
 * 4.2.7.2), and which characters can be in none.
 *
 *     map (B.1 to nothing, B.2: case folding) -> Normalization Form KC -> prohibited (C.1.1 to C.9, ASCII but - . :) -> direction (6)
 */
import { INVISIBLE, PROHIBITED, RIGHT_TO_LEFT, UNASSIGNED } from "./stringprep-tables.js";

const MAPPED_TO_NOTHING = new RegExp(`[${INVISIBLE}]`, "gu");
/**
 * What RFC 3722 adds: ASCII punctuation but for dash, dot and colon, and the ideographic full stop. The underscore would be of it, but
 * stands in so many names in use that refusing it would lock hosts out.
 */
const PUNCTUATION = String.raw`!-,\/;-@[-^\x60{-~\u3002`;
const FORBIDDEN = new RegExp(`[${PROHIBITED}\\p{Co}\\p{Cs}\\p{Noncharacter_Code_Point}${PUNCTUATION}]`, "u");
/** Every name begins with Latin letters, and section 6 of RFC 3454 lets the two directions not stand beside each other. */
const FROM_RIGHT_TO_LEFT = new RegExp(`[${RIGHT_TO_LEFT}]`, "u");
const NEVER_ASSIGNED = new RegExp(`[${UNASSIGNED}]`, "u");

/** What the text is as a name, whether it can be one or not. */
export function mapName(text: string): string {
  const mapped = Array.from(text.replace(MAPPED_TO_NOTHING, ""), (character) => folded(character.normalize("NFKC")));
  return mapped.join("").normalize("NFKC");
}

/** The first character of a mapped name that can be in no name. */
export function prohibitedIn(name: string): string | undefined {
  return (FORBIDDEN.exec(name) ?? FROM_RIGHT_TO_LEFT.exec(name))?.[0];
}

/**
 * The first character of a text that Unicode did not have when the tables were made. RFC 3454 section 7: it may be asked for, but not
 * be in a name that is kept, since nobody can say how to map it.
 */
export function unassignedIn(text: string): string | undefined {
  return NEVER_ASSIGNED.exec(text)?.[0];
}

/**
 * B.2: what differs in case only, as `ß` and `SS` or the two small sigmas, becomes the same; but for the i without a dot, and for capital
 * letters (Georgian, Cherokee) that had no small ones when the tables were made.
 */
function folded(text: string): string {
  if (text === "\u0131") return text;
  const small = text.toLowerCase().toUpperCase().toLowerCase().replaceAll("\u03c2", "\u03c3");
  return NEVER_ASSIGNED.test(small) ? text : small;
}

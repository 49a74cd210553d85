/** What SANITIZE and FORMAT UNIT do to all blocks of a unit, and how far it is. */
import * as z from "zod";

/** OVERWRITE COUNT has five bits. */
export const PASSES_MAX = 31;
const HEXADECIMAL = /^(?:[0-9a-f]{2})+$/;

export const work = z.discriminatedUnion("kind", [
  /** The blocks are deallocated where the unit is thin, else zeroed: they read as zeroes. */
  z.strictObject({ kind: z.literal("erase") }),
  z.strictObject({
    kind: z.literal("overwrite"),
    /** Each block begins with it anew. */
    pattern: z.string().regex(HEXADECIMAL),
    passes: z.int().min(1).max(PASSES_MAX),
    /** Of two passes that follow each other one writes the pattern, the other all of its bits inverted; the last one writes it. */
    invert: z.boolean(),
  }),
]);

export type Work = z.infer<typeof work>;
export type Overwrite = Work & { readonly kind: "overwrite" };

export const ERASE: Work = { kind: "erase" };

/** All before it is done: whole passes, and bytes of one from the unit's start. */
export interface Position {
  readonly pass: number;
  readonly offset: number;
}

export const BEGINNING: Position = { pass: 0, offset: 0 };

export function passesOf(work: Work): number {
  return work.kind === "overwrite" ? work.passes : 1;
}

/**
 * What a pass, counted from 0, fills each block with. "If the INVERT bit is set to one and the OVERWRITE COUNT field is set to
 * an even number, then the pattern used for the first write pass shall consist of [...] the inversion" (SBC-4, OVERWRITE
 * service action): so the last pass leaves the pattern as it came.
 */
export function patternOf({ pattern, passes, invert }: Overwrite, pass: number): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(pattern, "hex"));
  return invert && (passes - 1 - pass) % 2 === 1 ? bytes.map((byte) => ~byte) : bytes;
}

/** PROGRESS INDICATION: the numerator of a fraction with the denominator 65536. */
export function progressOf(work: Work, { pass, offset }: Position, sizeBytes: number): number {
  return Math.min(65_535, Math.floor((65_536 * (pass + offset / sizeBytes)) / passesOf(work)));
}

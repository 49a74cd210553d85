/** What a command asks for that has a unit change all of its blocks: judged whole before any of it is done. */
import type { ScsiAnswer } from "../../../dataplane/messages.js";
import type { Work } from "./work.js";

export interface Refused {
  readonly kind: "refused";
  readonly answer: ScsiAnswer;
}

export type Request =
  | Refused
  | {
      readonly kind: "work";
      readonly work: Work;
      /** IMMED: GOOD as soon as it has begun. */
      readonly isImmediate: boolean;
      /** AUSE, see SavedOperation. */
      readonly allowsExit: boolean;
    };

export function refused(answer: ScsiAnswer): Refused {
  return { kind: "refused", answer };
}

/** The leftmost bit that is set of a byte, as field pointers count: 7 is the leftmost. */
export function leftmostBit(byte: number): number {
  return 31 - Math.clz32(byte);
}

/** What a hostile initiator does. Actions are plain data, so that a case that was found can be kept as it is. */

/** A number, or one that follows from what the target has said, plus something. */
export type Value =
  | number
  | {
      readonly of: "expCmdSN" | "statSN" | "tag" | "offset" | "length" | "pingTag" | "textTag";
      /** Added to it. */
      readonly plus?: number;
    };

export interface HostilePdu {
  readonly opcode: number;
  readonly immediate?: boolean;
  readonly flags?: number;
  readonly byte2?: number;
  readonly lun?: number;
  /** Word 16. */
  readonly initiatorTaskTag?: Value;
  /** Word 20: Target Transfer Tag, Expected Data Transfer Length, Referenced Task Tag. */
  readonly word20?: Value;
  readonly cmdSN?: Value;
  readonly expStatSN?: Value;
  /** Words 32 to 44, or the CDB in their place. */
  readonly words?: readonly Value[];
  readonly cdb?: readonly number[];
  /** Additional header segments as they are, cut to whole words. */
  readonly ahs?: readonly number[];
  /** Bytes of data that follow, and what the header says of them. */
  readonly dataLength?: number;
  readonly dataSegmentLength?: number;
  /** Text in place of the usual data. */
  readonly text?: string;
  /** A digest that is on does not match. */
  readonly badDigest?: "header" | "data";
}

export type Action = (
  | { readonly kind: "pdu"; readonly pdu: HostilePdu }
  /** Answers an R2T, counted from the oldest that is not answered in full, as it should be, but perhaps not in full. */
  | { readonly kind: "answer"; readonly r2t: number; readonly length: number; readonly final: boolean }
  /** A valid PDU with one byte changed. */
  | { readonly kind: "mutated"; readonly pdu: HostilePdu; readonly at: number; readonly byte: number }
  /** The beginning of a PDU, and then something else. */
  | { readonly kind: "cut"; readonly pdu: HostilePdu; readonly length: number }
  | { readonly kind: "bytes"; readonly bytes: readonly number[] }
  | { readonly kind: "wait"; readonly us: number }
  | { readonly kind: "leave"; readonly how: "close" | "reset" }
) & {
  /** Index of the connection. */
  readonly on?: number;
};

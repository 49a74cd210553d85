/** A text negotiation in full feature phase (RFC 7143 sections 11.10 and 11.11), each side's text possibly in parts. */
import assert from "node:assert/strict";
import { FLAG_CONTINUE, FLAG_FINAL, type ReceivedPdu, TAG_NONE } from "../../pdu.js";
import type { Random } from "../random.js";

export interface TextPart {
  readonly flags: number;
  readonly targetTransferTag: number;
  readonly text: string;
}

export class TextExchange {
  readonly initiatorTaskTag: number;
  readonly #parts: string[] = [];
  readonly #expected: string;
  #tag = TAG_NONE;
  #received = "";

  constructor(random: Random, initiatorTaskTag: number, text: string, expected: string) {
    this.initiatorTaskTag = initiatorTaskTag;
    this.#expected = expected;
    let rest = text;
    while (rest.length > 1 && random.chance(0.3)) {
      const length = random.between(1, rest.length - 1);
      this.#parts.push(rest.slice(0, length));
      rest = rest.slice(length);
    }
    this.#parts.push(rest);
  }

  /** What is to be sent next: a part of our text, or nothing to ask for the rest of the target's. */
  next(): TextPart {
    const text = this.#parts.shift() ?? "";
    const flags = this.#parts.length > 0 ? FLAG_CONTINUE : FLAG_FINAL;
    return { flags, targetTransferTag: this.#tag, text };
  }

  /** True: the exchange is over. */
  received(pdu: ReceivedPdu): boolean {
    const continues = (pdu.flags & FLAG_CONTINUE) !== 0;
    this.#tag = pdu.targetTransferTag;
    this.#received += pdu.data.toString("latin1");
    if (pdu.final) {
      assert(!continues, "F and C are not both set");
      assert.equal(this.#tag, TAG_NONE, "a final Text Response has no tag");
      assert.equal(this.#parts.length, 0, "the target waits for all of our text");
      assert.equal(this.#received, this.#expected, "the answer is control's");
      return true;
    }
    assert.notEqual(this.#tag, TAG_NONE, "an exchange that goes on has a tag");
    if (this.#parts.length > 0) assert.equal(pdu.data.length, 0, "the target does not answer half a text");
    return false;
  }
}

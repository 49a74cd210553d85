/**
 * Text Requests and Responses of one connection (RFC 7143 sections 6.4, 11.10, 11.11): puts a request together from its
 * C-bit parts, and hands a long answer out in parts. Pure: PDUs are somebody else's.
 *
 *     I: C=1 part 1, TTT=ffffffff      T: empty, F=0, TTT=1
 *     I: C=0 F=1 rest, TTT=1           T: first part of the answer, C=1 F=0, TTT=2
 *     I: empty, F=1, TTT=2             T: last part, F=1, TTT=ffffffff
 */
import { RESERVED_TAG } from "../dataplane/wire/bhs.js";
import { textPartLength } from "../dataplane/wire/text-keys.js";
import { TEXT_LENGTH_MAX } from "./limits.js";

export interface TextPart {
  readonly initiatorTaskTag: number;
  readonly immediate: boolean;
  readonly targetTransferTag: number;
  readonly final: boolean;
  readonly continued: boolean;
  /** Data segment without padding, in latin1: one character a byte. */
  readonly text: string;
}

export type TextOutcome =
  | {
      readonly kind: "respond";
      readonly text: string;
      readonly final: boolean;
      readonly continued: boolean;
      readonly targetTransferTag: number;
    }
  | { readonly kind: "reject"; readonly reason: "protocolError" | "invalidField" | "outOfResources" };

/** What the next request of a sequence must have (sections 11.10.3, 11.10.4). */
type Next = Pick<TextPart, "initiatorTaskTag" | "immediate" | "targetTransferTag">;

type State =
  | { readonly kind: "idle" }
  | (Next & { readonly kind: "collecting"; readonly text: string })
  | (Next & { readonly kind: "answering"; readonly rest: string });

export class TextExchange {
  readonly #answer: (text: string) => string | undefined;
  readonly #partLengthMax: number;
  #state: State = { kind: "idle" };
  #lastTag: number;

  /**
   * @param answer the answer to a whole request (pairs with their NULs); undefined: it breaks the rules.
   * @param partLengthMax the peer's MaxRecvDataSegmentLength, at least 512 (section 13.12).
   * @param lastTag the Target Transfer Tag before the first one.
   */
  constructor(answer: (text: string) => string | undefined, partLengthMax: number, lastTag = 0) {
    this.#lastTag = lastTag;
    this.#answer = answer;
    this.#partLengthMax = partLengthMax;
  }

  step(part: TextPart): TextOutcome {
    const state = this.#state;
    // Whatever goes wrong below, the exchange begins anew.
    this.#state = { kind: "idle" };
    // Section 11.10.2: "A Text Request with the C bit set to 1 MUST have the F bit set to 0."
    if (part.continued && part.final) return { kind: "reject", reason: "protocolError" };

    if (part.targetTransferTag === RESERVED_TAG) return this.#collect(part, part.text);
    if (
      state.kind === "idle" ||
      state.targetTransferTag !== part.targetTransferTag ||
      state.initiatorTaskTag !== part.initiatorTaskTag ||
      state.immediate !== part.immediate
    ) {
      return { kind: "reject", reason: "invalidField" };
    }
    if (state.kind === "collecting") return this.#collect(part, state.text + part.text);
    // One request a sequence: SendTargets twice would be a key twice (section 6.4), and nothing else may go with it (Appendix C).
    if (part.text !== "" || part.continued) return { kind: "reject", reason: "protocolError" };
    return this.#respond(part, state.rest);
  }

  #collect(part: TextPart, text: string): TextOutcome {
    if (text.length > TEXT_LENGTH_MAX) return { kind: "reject", reason: "outOfResources" };
    if (part.continued) {
      const next = this.#nextOf(part);
      this.#state = { ...next, kind: "collecting", text };
      // Section 6.2: a PDU with the C bit is answered with one that has no text.
      return { kind: "respond", text: "", final: false, continued: false, targetTransferTag: next.targetTransferTag };
    }
    const answer = this.#answer(text);
    return answer === undefined ? { kind: "reject", reason: "protocolError" } : this.#respond(part, answer);
  }

  #respond(part: TextPart, answer: string): TextOutcome {
    const length = textPartLength(answer, this.#partLengthMax);
    const text = answer.slice(0, length);
    const rest = answer.slice(length);
    // Section 11.11.1: F=1 in response to F=0 is a protocol error.
    if (rest === "" && part.final) {
      return { kind: "respond", text, final: true, continued: false, targetTransferTag: RESERVED_TAG };
    }
    const next = this.#nextOf(part);
    this.#state = { ...next, kind: "answering", rest };
    return { kind: "respond", text, final: false, continued: rest !== "", targetTransferTag: next.targetTransferTag };
  }

  #nextOf({ initiatorTaskTag, immediate }: TextPart): Next {
    this.#lastTag = this.#lastTag + 1 === RESERVED_TAG ? 0 : this.#lastTag + 1;
    return { initiatorTaskTag, immediate, targetTransferTag: this.#lastTag };
  }
}

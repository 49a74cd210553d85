/**
 * The Login Phase from the initiator's side (RFC 7143 chapter 6), with CHAP in one direction or both: what is said, and what is
 * made of the answers. Who carries it to the target and back is no concern of this.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import {
  describeLoginStatus,
  LOGIN_STATUS_CLASS_SUCCESS,
  type LoginResponsePdu,
} from "../../dataplane/wire/login-response.js";
import {
  STAGE_FULL_FEATURE_PHASE,
  STAGE_LOGIN_OPERATIONAL_NEGOTIATION,
  STAGE_SECURITY_NEGOTIATION,
} from "../../dataplane/wire/login-stage.js";
import { decodeText, describeText, encodeText, TEXT_VALID } from "../../dataplane/wire/text-keys.js";
import {
  CHAP_ALGORITHMS_DEFAULT,
  CHAP_BINARY_LENGTH_MAX,
  type ChapCredential,
  decodeBinary,
  encodeBinary,
  respond,
} from "../login/chap.js";
import { InitiatorError } from "./initiator-error.js";

const EXCHANGES_MAX = 32;
const CHALLENGE_BYTES = 16;

export type Keys = Readonly<Record<string, string>>;

export interface LoginOffer {
  /** Who wants what: the keys that come first. */
  readonly names: Keys;
  /** For the operational negotiation. */
  readonly keys: Keys;
  readonly chap?: ChapCredential;
  /** What the target is to prove itself with. */
  readonly mutual?: ChapCredential;
}

/** What a Login Request is to say. */
export interface LoginSaying {
  readonly stage: number;
  /** -1: the initiator does not ask for another one. */
  readonly nextStage: number;
  readonly text: Uint8Array;
}

/** The Login Response to it. */
export interface LoginReply {
  readonly pdu: Pick<LoginResponsePdu, "transit" | "nsg" | "continue" | "status" | "statusClass">;
  readonly text: Uint8Array;
}

/** The target refuses, or sends the initiator elsewhere. */
export class LoginRefusal extends Error {
  /** LOGIN_STATUS_* */
  readonly status: number;
  readonly statusClass: number;
  /** TargetAddress, of a redirection. */
  readonly targetAddress: string | undefined;

  constructor({ status, statusClass }: LoginReply["pdu"], targetAddress: string | undefined) {
    super(`login refused: ${describeLoginStatus(status)}`);
    this.status = status;
    this.statusClass = statusClass;
    this.targetAddress = targetAddress;
  }
}

type Conversation = Generator<LoginSaying, void, LoginReply>;

export class LoginConversation {
  /** What the target has said, by key. */
  readonly answers = new Map<string, string>();
  readonly #offer: LoginOffer;
  #reply!: LoginReply["pdu"];

  constructor(offer: LoginOffer) {
    this.#offer = offer;
  }

  /** Yields what is to be said, takes what is replied; at its end full feature phase begins. @throws LoginRefusal, InitiatorError */
  *run(): Conversation {
    const { names, keys, chap } = this.#offer;
    if (chap !== undefined) yield* this.#authenticate(names, chap);
    const offered = chap === undefined ? { ...names, ...keys } : keys;
    yield* this.#through(STAGE_LOGIN_OPERATIONAL_NEGOTIATION, STAGE_FULL_FEATURE_PHASE, offered);
  }

  *#authenticate(names: Keys, chap: ChapCredential): Conversation {
    yield* this.#exchange(STAGE_SECURITY_NEGOTIATION, -1, { ...names, AuthMethod: "CHAP" });
    if (this.answers.get("AuthMethod") !== "CHAP") {
      throw new InitiatorError("refused", "the target does not do CHAP: leave --user out");
    }
    yield* this.#exchange(STAGE_SECURITY_NEGOTIATION, -1, { CHAP_A: CHAP_ALGORITHMS_DEFAULT.join(",") });
    const algorithm = Number(this.answers.get("CHAP_A"));
    const identifier = Number(this.answers.get("CHAP_I"));
    const challenge = decodeBinary(this.answers.get("CHAP_C") ?? "", CHAP_BINARY_LENGTH_MAX);
    if (!CHAP_ALGORITHMS_DEFAULT.includes(algorithm) || !(identifier <= 255) || challenge === undefined) {
      throw new InitiatorError("protocol", "the target has sent no CHAP challenge that can be answered");
    }
    const { mutual } = this.#offer;
    const own = { algorithm, identifier: randomBytes(1)[0]!, challenge: randomBytes(CHALLENGE_BYTES) };
    const proof: Keys =
      mutual === undefined ? {} : { CHAP_I: String(own.identifier), CHAP_C: encodeBinary(own.challenge) };
    yield* this.#through(STAGE_SECURITY_NEGOTIATION, STAGE_LOGIN_OPERATIONAL_NEGOTIATION, {
      CHAP_N: chap.user,
      CHAP_R: encodeBinary(respond({ algorithm, identifier, challenge }, chap.secret)),
      ...proof,
    });
    if (mutual === undefined) return;
    const response = decodeBinary(this.answers.get("CHAP_R") ?? "", CHAP_BINARY_LENGTH_MAX);
    const expected = respond(own, mutual.secret);
    const isProven = response?.length === expected.length && timingSafeEqual(response, expected);
    if (!isProven || this.answers.get("CHAP_N") !== mutual.user) {
      throw new InitiatorError(
        "refused",
        "the target has not proven itself: it is another one, or its user or secret is not the one that was given",
      );
    }
  }

  /** Offers keys, and goes on asking until the target goes on to the next stage. */
  *#through(stage: number, nextStage: number, offer: Keys): Conversation {
    let keys = offer;
    for (let count = 0; count < EXCHANGES_MAX; count++) {
      yield* this.#exchange(stage, nextStage, keys);
      if (this.#reply.transit && this.#reply.nsg === nextStage) return;
      keys = {};
    }
    throw new InitiatorError("protocol", `the login has not ended after ${EXCHANGES_MAX} exchanges`);
  }

  /** Says keys, and takes the answer, over as many PDUs as it comes in (C bit). `nextStage` -1: stay. */
  *#exchange(stage: number, nextStage: number, keys: Keys): Conversation {
    let text = encodeText(Object.entries(keys).map(([key, value]) => ({ key, value })));
    const parts: Uint8Array[] = [];
    for (let count = 0; count < EXCHANGES_MAX; count++) {
      const reply = yield { stage, nextStage, text };
      this.#reply = reply.pdu;
      parts.push(reply.text);
      if (!this.#reply.continue) break;
      text = new Uint8Array(0);
    }
    const decoded = decodeText(Buffer.concat(parts));
    if (decoded.reason !== TEXT_VALID) {
      throw new InitiatorError("protocol", `the target's login keys: ${describeText(decoded.reason)}`);
    }
    for (const { key, value } of decoded.pairs) this.answers.set(key, value);
    if (this.#reply.statusClass === LOGIN_STATUS_CLASS_SUCCESS) return;
    throw new LoginRefusal(this.#reply, this.answers.get("TargetAddress"));
  }
}

/**
 * The Login Phase of one connection, from the initiator's side (RFC 7143 chapter 6): blocking, one exchange after the other, over the
 * ring on which nothing else is in flight yet. Allocates as it likes.
 */
import { errnoName, MSG_NOSIGNAL, MSG_WAITALL, type Ring } from "io-uring-node";
import * as control from "../../control/initiator/initiator-error.js";
import {
  type Keys,
  LoginConversation,
  LoginRefusal,
  type LoginReply,
  type LoginSaying,
} from "../../control/initiator/login-conversation.js";
import type { ChapCredential } from "../../control/login/chap.js";
import { KEYS } from "../../control/login/keys.js";
import type { Arena } from "../../dataplane/arena.js";
import { BHS_LENGTH, OPCODE_LOGIN_RESPONSE, opcodeName, paddedLength } from "../../dataplane/wire/bhs.js";
import { LoginRequestPdu } from "../../dataplane/wire/login-request.js";
import { LoginResponsePdu } from "../../dataplane/wire/login-response.js";
import { ConnectionLostError, InitiatorError, LoginError } from "./errors.js";

const TIMEOUT_US = 15_000_000;
/** Text of one PDU; MaxRecvDataSegmentLength is 8192 during login (section 13.12). */
const SEGMENT_BYTES_MAX = 8192;

export interface LoginRequest {
  readonly isid: number;
  /** 0: a new session. */
  readonly tsih: number;
  readonly cid: number;
  readonly cmdSN: number;
  readonly initiatorName: string;
  readonly targetName: string;
  /** Operational keys to offer; a connection that joins a session leaves out those of the leading login (LO). */
  readonly keys: Keys;
  readonly chap?: ChapCredential;
}

export interface LoginOutcome {
  readonly tsih: number;
  readonly expStatSN: number;
  readonly maxCmdSN: number;
  /** What the target said, by key. */
  readonly answers: ReadonlyMap<string, string>;
}

/** Arena bytes that a LoginPhase needs; they can be used again by the next. */
export const LOGIN_ARENA_BYTES = BHS_LENGTH + SEGMENT_BYTES_MAX + 4;

export class LoginPhase {
  readonly #ring: Ring;
  readonly #arena: Arena;
  readonly #scratch: number;
  readonly #fd: number;
  readonly #request: LoginRequest;
  readonly #requestPdu: LoginRequestPdu;
  readonly #response: LoginResponsePdu;
  #expStatSN = 0;

  constructor(ring: Ring, arena: Arena, scratch: number, fd: number, request: LoginRequest) {
    this.#ring = ring;
    this.#arena = arena;
    this.#scratch = scratch;
    this.#fd = fd;
    this.#request = request;
    this.#requestPdu = new LoginRequestPdu(arena.view, scratch);
    this.#response = new LoginResponsePdu(arena.view, scratch);
  }

  /** @throws LoginError, ConnectionLostError, InitiatorError */
  run(): LoginOutcome {
    const { initiatorName, targetName, chap, tsih, keys } = this.#request;
    const offered = (offer: Keys) => (tsih === 0 ? offer : withoutLeadingOnly(offer));
    const names = offered({ InitiatorName: initiatorName, TargetName: targetName, SessionType: "Normal" });
    const conversation = new LoginConversation({
      names,
      keys: offered(keys),
      ...(chap === undefined ? {} : { chap }),
    });
    try {
      const sayings = conversation.run();
      for (let next = sayings.next(); next.done !== true; ) {
        this.#send(next.value);
        next = sayings.next(this.#receive());
      }
    } catch (error) {
      if (error instanceof LoginRefusal) throw new LoginError(error.message, error.status, error.targetAddress);
      if (error instanceof control.InitiatorError) throw new InitiatorError(error.message);
      throw error;
    }
    const { answers } = conversation;
    const response = this.#response;
    return { tsih: response.tsih, expStatSN: this.#expStatSN, maxCmdSN: response.maxCmdSN, answers };
  }

  #send({ stage, nextStage, text }: LoginSaying): void {
    if (text.length > SEGMENT_BYTES_MAX) throw new InitiatorError(`${text.length} bytes of login keys`);
    const request = this.#request;
    const pdu = this.#requestPdu.clear();
    pdu.transit = nextStage >= 0;
    pdu.csg = stage;
    if (nextStage >= 0) pdu.nsg = nextStage;
    pdu.dataSegmentLength = text.length;
    pdu.isid = request.isid;
    pdu.tsih = request.tsih;
    pdu.cid = request.cid;
    pdu.cmdSN = request.cmdSN;
    pdu.expStatSN = this.#expStatSN;
    const data = this.#scratch + BHS_LENGTH;
    const padded = paddedLength(text.length);
    this.#arena.bytes.set(text, data);
    this.#arena.bytes.fill(0, data + text.length, data + padded);
    this.#transfer(true, this.#scratch, BHS_LENGTH + padded);
  }

  #receive(): LoginReply {
    this.#transfer(false, this.#scratch, BHS_LENGTH);
    const response = this.#response;
    if (response.opcode !== OPCODE_LOGIN_RESPONSE) throw new InitiatorError(`${opcodeName(response.opcode)} in login`);
    const length = response.dataSegmentLength;
    if (length > SEGMENT_BYTES_MAX) throw new InitiatorError(`${length} bytes in a Login Response`);
    const data = this.#scratch + BHS_LENGTH;
    this.#transfer(false, data, paddedLength(length));
    this.#expStatSN = (response.statSN + 1) >>> 0;
    return { pdu: response, text: this.#arena.bytes.slice(data, data + length) };
  }

  /** Sends or receives exactly so many bytes. */
  #transfer(sends: boolean, offset: number, length: number): void {
    const ring = this.#ring;
    const deadlineUs = ring.nowUs + TIMEOUT_US;
    for (let moved = 0; moved < length; ) {
      const address = this.#arena.address(offset + moved);
      const flags = sends ? MSG_NOSIGNAL | MSG_WAITALL : MSG_WAITALL;
      if (sends) ring.send(this.#fd, address, length - moved, flags, 0, 0);
      else ring.recv(this.#fd, address, length - moved, flags, 0, 0);
      for (;;) {
        ring.enter(1, 1000);
        if (ring.next()) break;
        if (ring.nowUs > deadlineUs) throw new ConnectionLostError("the target does not answer the login");
      }
      if (ring.result === 0) throw new ConnectionLostError("closed by the target during login");
      if (ring.result < 0) throw new ConnectionLostError(`login: ${errnoName(-ring.result)}`);
      moved += ring.result;
    }
  }
}

function withoutLeadingOnly(keys: Keys): Keys {
  return Object.fromEntries(Object.entries(keys).filter(([name]) => KEYS.get(name)?.use !== "LO"));
}

/**
 * The Login Phase of one connection, from the initiator's side (RFC 7143 chapter 6): blocking, one exchange after the other, over the
 * ring on which nothing else is in flight yet. Allocates as it likes.
 */
import { createHash } from "node:crypto";
import { errnoName, MSG_NOSIGNAL, MSG_WAITALL, type Ring } from "io-uring-node";
import { decodeBinary, encodeBinary } from "../../control/login/chap.js";
import { KEYS } from "../../control/login/keys.js";
import type { Arena } from "../../dataplane/arena.js";
import { BHS_LENGTH, OPCODE_LOGIN_RESPONSE, opcodeName, paddedLength } from "../../dataplane/wire/bhs.js";
import { LoginRequestPdu } from "../../dataplane/wire/login-request.js";
import {
  describeLoginStatus,
  LOGIN_STATUS_CLASS_SUCCESS,
  LoginResponsePdu,
} from "../../dataplane/wire/login-response.js";
import {
  STAGE_FULL_FEATURE_PHASE,
  STAGE_LOGIN_OPERATIONAL_NEGOTIATION,
  STAGE_SECURITY_NEGOTIATION,
} from "../../dataplane/wire/login-stage.js";
import { decodeText, describeText, encodeText, TEXT_VALID } from "../../dataplane/wire/text-keys.js";
import { ConnectionLostError, InitiatorError, LoginError } from "./errors.js";

const TIMEOUT_US = 15_000_000;
const EXCHANGES_MAX = 32;
/** Text of one PDU; MaxRecvDataSegmentLength is 8192 during login (section 13.12). */
const SEGMENT_BYTES_MAX = 8192;
const CHAP_BINARY_BYTES_MAX = 1024;
const CHAP_HASHES: ReadonlyMap<string, string> = new Map([
  ["5", "md5"],
  ["6", "sha1"],
  ["7", "sha256"],
  ["8", "sha3-256"],
]);

export type Keys = Readonly<Record<string, string>>;

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
  readonly chap?: { readonly user: string; readonly secret: string };
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
  readonly #answers = new Map<string, string>();
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
    const { initiatorName, targetName, chap, tsih } = this.#request;
    const offered = (offer: Keys) => (tsih === 0 ? offer : withoutLeadingOnly(offer));
    const names = offered({ InitiatorName: initiatorName, TargetName: targetName, SessionType: "Normal" });
    const keys = offered(this.#request.keys);
    if (chap === undefined) {
      this.#operational({ ...names, ...keys });
    } else {
      this.#authenticate(names, chap.user, chap.secret);
      this.#operational(keys);
    }
    const response = this.#response;
    return {
      tsih: response.tsih,
      expStatSN: this.#expStatSN,
      maxCmdSN: response.maxCmdSN,
      answers: this.#answers,
    };
  }

  #authenticate(names: Keys, user: string, secret: string): void {
    this.#exchange(STAGE_SECURITY_NEGOTIATION, -1, { ...names, AuthMethod: "CHAP" });
    this.#exchange(STAGE_SECURITY_NEGOTIATION, -1, { CHAP_A: [...CHAP_HASHES.keys()].join(",") });
    const hash = CHAP_HASHES.get(this.#answers.get("CHAP_A") ?? "");
    const challenge = decodeBinary(this.#answers.get("CHAP_C") ?? "", CHAP_BINARY_BYTES_MAX);
    if (hash === undefined || challenge === undefined)
      throw new InitiatorError("no CHAP challenge that can be answered");
    const identifier = Number(this.#answers.get("CHAP_I"));
    const response = createHash(hash).update(Uint8Array.of(identifier)).update(secret).update(challenge).digest();
    this.#exchange(STAGE_SECURITY_NEGOTIATION, STAGE_LOGIN_OPERATIONAL_NEGOTIATION, {
      CHAP_N: user,
      CHAP_R: encodeBinary(response),
    });
  }

  #operational(offer: Keys): void {
    let keys = offer;
    for (let exchange = 0; exchange < EXCHANGES_MAX; exchange++) {
      this.#exchange(STAGE_LOGIN_OPERATIONAL_NEGOTIATION, STAGE_FULL_FEATURE_PHASE, keys);
      if (this.#response.transit && this.#response.nsg === STAGE_FULL_FEATURE_PHASE) return;
      keys = {};
    }
    throw new InitiatorError(`login has not ended after ${EXCHANGES_MAX} exchanges`);
  }

  /** Sends keys, receives the answer over as many PDUs as it takes (C bit). `nextStage` -1: stay. */
  #exchange(stage: number, nextStage: number, keys: Keys): void {
    let text = encodeText(Object.entries(keys).map(([key, value]) => ({ key, value })));
    const parts: Uint8Array[] = [];
    for (;;) {
      this.#send(stage, text.length === 0 && parts.length > 0 ? -1 : nextStage, text);
      parts.push(this.#receive());
      if (!this.#response.continue) break;
      text = new Uint8Array(0);
    }
    const decoded = decodeText(Buffer.concat(parts));
    if (decoded.reason !== TEXT_VALID) throw new InitiatorError(`login text: ${describeText(decoded.reason)}`);
    for (const { key, value } of decoded.pairs) this.#answers.set(key, value);
    const { status, statusClass } = this.#response;
    if (statusClass !== LOGIN_STATUS_CLASS_SUCCESS) {
      throw new LoginError(`login refused: ${describeLoginStatus(status)}`, status, this.#answers.get("TargetAddress"));
    }
  }

  #send(stage: number, nextStage: number, text: Uint8Array): void {
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

  #receive(): Uint8Array {
    this.#transfer(false, this.#scratch, BHS_LENGTH);
    const response = this.#response;
    if (response.opcode !== OPCODE_LOGIN_RESPONSE) throw new InitiatorError(`${opcodeName(response.opcode)} in login`);
    const length = response.dataSegmentLength;
    if (length > SEGMENT_BYTES_MAX) throw new InitiatorError(`${length} bytes in a Login Response`);
    const data = this.#scratch + BHS_LENGTH;
    this.#transfer(false, data, paddedLength(length));
    this.#expStatSN = (response.statSN + 1) >>> 0;
    return this.#arena.bytes.slice(data, data + length);
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

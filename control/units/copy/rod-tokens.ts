/**
 * ROD tokens: 512 bytes that stand for blocks of a unit. Ours are of the type access upon reference: a token gives what the
 * blocks hold when it is used. Nothing is kept for it, writes to the blocks do not invalidate it, and nobody who reads the
 * standard expects older data of it.
 *
 *     0-3 ROD TYPE    6-7 ROD TOKEN LENGTH    8-15 COPY MANAGER ROD TOKEN IDENTIFIER    16-47 CREATOR LOGICAL UNIT DESCRIPTOR
 *     48-63 NUMBER OF BYTES REPRESENTED    96-99 LOGICAL BLOCK LENGTH, 101 and 102-103 as READ CAPACITY(16) bytes 13 to 15
 *     128- TARGET DEVICE DESCRIPTOR, then random bytes up to the end
 *
 * Whoever has a token must also reach its unit (reach.ts): the random bytes keep a host that may do so from using what another
 * one has made, and is about to delete.
 */
import { randomBytes, timingSafeEqual } from "node:crypto";
import type { UnitRecord } from "../../../dataplane/messages.js";
import {
  INSUFFICIENT_RESOURCES_TO_CREATE_ROD_TOKEN,
  INVALID_TOKEN_LENGTH,
  TOKEN_UNKNOWN,
  UNSUPPORTED_TOKEN_TYPE,
} from "../../../dataplane/scsi/sense.js";
import {
  CSCD_IDENTIFICATION,
  ROD_TYPE_ACCESS_UPON_REFERENCE,
  ROD_TYPE_BLOCK_ZERO,
} from "../../../dataplane/scsi/third-party-copy.js";
import { setUint64 } from "../../../dataplane/scsi/uint64.js";
import { NAA_BYTES, naaOf } from "../../../dataplane/scsi/unit-name.js";
import { ROD_TOKENS_MAX, ROD_TOKENS_PER_INITIATOR_MAX } from "../../limits.js";
import { refuse, viewOf } from "./parameter-list.js";

export const ROD_TOKEN_BYTES = 512;
/** What REPORT ALL ROD TOKENS tells of each: none of its random bytes. */
export const ROD_MANAGEMENT_TOKEN_BYTES = 96;
const TOKEN_LENGTH = ROD_TOKEN_BYTES - 8;
const IDENTIFIER = 8;
const TARGET_DEVICE_DESCRIPTOR = 128;
/** CODE SET UTF-8 of iSCSI; PIV, association target device, SCSI name string. */
const TARGET_DESIGNATOR_HEADER = [0x53, 0xa8];
/** A name has 223 bytes at most (RFC 7143 section 4.2.7.1): the rest is random. */
const TARGET_NAME_BYTES_MAX = 224;

export interface BlockRange {
  readonly lba: number;
  readonly blocks: number;
}

export interface RodToken {
  readonly bytes: Uint8Array;
  readonly unitIndex: number;
  readonly blockLengthBytes: number;
  /** In the order in which they make up the data. */
  readonly ranges: readonly BlockRange[];
  readonly initiatorName: string;
}

interface Kept extends RodToken {
  readonly timeoutMs: number;
  /** Copies that use it now. */
  users: number;
  lastUsedMs: number;
}

export interface TokenRequest {
  readonly unit: UnitRecord;
  readonly ranges: readonly BlockRange[];
  readonly timeoutMs: number;
  readonly initiatorName: string;
  readonly targetName: string;
}

export class RodTokens {
  /** By COPY MANAGER ROD TOKEN IDENTIFIER, in hexadecimal; oldest first. */
  readonly #tokens = new Map<string, Kept>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** @throws Refusal where there are too many. */
  create(request: TokenRequest): RodToken {
    this.#expire();
    const { unit, ranges, timeoutMs, initiatorName } = request;
    let own = 0;
    for (const token of this.#tokens.values()) if (token.initiatorName === initiatorName) own++;
    if (this.#tokens.size >= ROD_TOKENS_MAX || own >= ROD_TOKENS_PER_INITIATOR_MAX) {
      refuse(INSUFFICIENT_RESOURCES_TO_CREATE_ROD_TOKEN);
    }
    const bytes = encode(request);
    const { unitIndex, blockLengthBytes } = unit;
    const lastUsedMs = this.#nowMs();
    const kept = { bytes, unitIndex, blockLengthBytes, ranges, initiatorName, timeoutMs, users: 0, lastUsedMs };
    this.#tokens.set(identifierOf(bytes), kept);
    return kept;
  }

  /** What the token stands for; null: zeroes. Whether the unit is reached is the caller's to ask. @throws Refusal */
  find(bytes: Uint8Array): RodToken | null {
    this.#expire();
    const view = viewOf(bytes);
    const type = view.getUint32(0);
    if (type !== ROD_TYPE_ACCESS_UPON_REFERENCE && type !== ROD_TYPE_BLOCK_ZERO) refuse(UNSUPPORTED_TOKEN_TYPE);
    if (view.getUint16(6) !== TOKEN_LENGTH) refuse(INVALID_TOKEN_LENGTH);
    if (type === ROD_TYPE_BLOCK_ZERO) return null;
    const found = this.#tokens.get(identifierOf(bytes));
    if (found === undefined || !timingSafeEqual(found.bytes, bytes)) return refuse(TOKEN_UNKNOWN);
    return found;
  }

  /** Keeps the token alive while it is used: from its last use on it is inactive. */
  async using<T>(token: RodToken, use: Promise<T>): Promise<T> {
    const kept = token as Kept;
    kept.users++;
    try {
      return await use;
    } finally {
      kept.users--;
      kept.lastUsedMs = this.#nowMs();
    }
  }

  delete(token: RodToken): void {
    this.#tokens.delete(identifierOf(token.bytes));
  }

  /** Those of a unit that is not served any more. */
  forget(unitIndex: number): void {
    for (const [identifier, token] of this.#tokens) if (token.unitIndex === unitIndex) this.#tokens.delete(identifier);
  }

  all(): readonly RodToken[] {
    this.#expire();
    return [...this.#tokens.values()];
  }

  #expire(): void {
    const nowMs = this.#nowMs();
    for (const [identifier, { users, lastUsedMs, timeoutMs }] of this.#tokens) {
      if (users === 0 && nowMs >= lastUsedMs + timeoutMs) this.#tokens.delete(identifier);
    }
  }
}

function identifierOf(token: Uint8Array): string {
  return Buffer.from(token.subarray(IDENTIFIER, IDENTIFIER + 8)).toString("hex");
}

function encode({ unit, ranges, targetName }: TokenRequest): Uint8Array {
  const bytes = Uint8Array.from(randomBytes(ROD_TOKEN_BYTES));
  // All but the identifier and what comes last.
  bytes.fill(0, 0, IDENTIFIER);
  bytes.fill(0, 16, TARGET_DEVICE_DESCRIPTOR);
  const view = viewOf(bytes);
  view.setUint32(0, ROD_TYPE_ACCESS_UPON_REFERENCE);
  view.setUint16(6, TOKEN_LENGTH);
  bytes[16] = CSCD_IDENTIFICATION;
  bytes[16 + 4] = 0x01; // CODE SET: binary
  bytes[16 + 5] = 0x03; // of the unit, NAA
  bytes[16 + 7] = NAA_BYTES;
  bytes.set(naaOf(unit.uuid), 16 + 8);
  view.setUint32(16 + 28, unit.blockLengthBytes);
  setUint64(view, 56, ranges.reduce((sum, { blocks }) => sum + blocks, 0) * unit.blockLengthBytes);
  view.setUint32(96, unit.blockLengthBytes);
  bytes[101] = Math.log2(unit.physicalBlockBytes / unit.blockLengthBytes); // LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT
  if (unit.thin) bytes[102] = 0xc0; // LBPME, LBPRZ
  const name = Buffer.from(targetName).subarray(0, TARGET_NAME_BYTES_MAX - 1);
  const padded = (name.length + 4) & ~3;
  bytes.set(TARGET_DESIGNATOR_HEADER, TARGET_DEVICE_DESCRIPTOR);
  bytes[TARGET_DEVICE_DESCRIPTOR + 2] = 0;
  bytes[TARGET_DEVICE_DESCRIPTOR + 3] = padded;
  bytes.fill(0, TARGET_DEVICE_DESCRIPTOR + 4, TARGET_DEVICE_DESCRIPTOR + 4 + padded);
  bytes.set(name, TARGET_DEVICE_DESCRIPTOR + 4);
  return bytes;
}

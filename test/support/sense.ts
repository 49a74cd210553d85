/** What a CHECK CONDITION says (SPC); like pdu.ts apart from the code under test. */
import assert from "node:assert/strict";
import { parseSense } from "./pdu.js";
import type { CommandResult } from "./raw-task.js";

const STATUS_GOOD = 0x00;
const CHECK_CONDITION = 0x02;
const RESERVATION_CONFLICT = 0x18;
const CURRENT_FIXED = 0x70;
const VALID = 0x80;

export interface Sense {
  readonly key: number;
  /** ASC and ASCQ as one number. */
  readonly code: number;
  /** INFORMATION, if it is valid. */
  readonly information: number | undefined;
}

/** The sense, of fixed format, of a command that must have ended with CHECK CONDITION. */
export function senseOf({ response, status, sense }: CommandResult): Sense {
  assert.deepEqual({ response, status }, { response: 0, status: CHECK_CONDITION });
  assert.equal(sense[0]! & 0x7f, CURRENT_FIXED, "response code");
  return {
    key: sense[2]! & 0x0f,
    code: sense.readUInt16BE(12),
    information: (sense[0]! & VALID) !== 0 ? sense.readUInt32BE(3) : undefined,
  };
}

/** Sense key, ASC and ASCQ: "5/2400". */
export function describeSense(sense: Buffer): string {
  const { key, asc, ascq } = parseSense(sense);
  return `${key.toString(16)}/${((asc << 8) | ascq).toString(16).padStart(4, "0")}`;
}

export const GOOD = "good";
export const CONFLICT = "conflict";

/** What became of a command: GOOD, CONFLICT, or what its sense data says. */
export function outcomeOf({ response, status, sense }: CommandResult): string {
  assert.equal(response, 0);
  if (status === STATUS_GOOD) return GOOD;
  if (status === RESERVATION_CONFLICT) return CONFLICT;
  assert.equal(status, CHECK_CONDITION);
  return describeSense(sense);
}

export const MEDIUM_ERROR = 0x3;
export const DATA_PROTECT = 0x7;
export const WRITE_ERROR = 0x0c00;
export const UNRECOVERED_READ_ERROR = 0x1100;
export const WRITE_PROTECTED = 0x2700;
export const SPACE_ALLOCATION_FAILED = 0x2707;

const DESCRIPTOR_HEADER_BYTES = 8;
/** Where ADDITIONAL SENSE LENGTH stands, in both formats. */
const ADDITIONAL_SENSE_LENGTH = 7;
/** Forwarded sense data, as long as that is. */
const FORWARDED = 0x0c;
/** Other sense data descriptors: type -> its length with its header. */
const DESCRIPTORS: ReadonlyMap<number, number> = new Map([
  [0x00, 12],
  [0x01, 12],
  [0x02, 8],
]);
const SENSE_BYTES_MAX = 252;

/** Asserts that sense data is as SPC has it, in fixed or in descriptor format, of an error now or before. */
export function assertWellFormedSense(sense: Buffer): void {
  const responseCode = sense[0]! & 0x7f;
  assert.ok(responseCode >= 0x70 && responseCode <= 0x73, `response code ${responseCode}`);
  assert.ok(sense.length <= SENSE_BYTES_MAX);
  assert.equal(sense.length, 8 + sense[ADDITIONAL_SENSE_LENGTH]!, "ADDITIONAL SENSE LENGTH");
  const isFixed = responseCode <= 0x71;
  const [key, code] = isFixed ? [sense[2]! & 0x0f, sense.readUInt16BE(12)] : [sense[1]! & 0x0f, sense.readUInt16BE(2)];
  assert.notEqual(key, 0, "a sense key");
  assert.notEqual(code, 0, "an additional sense code");
  if (isFixed) {
    assert.ok(sense.length >= 18);
    return;
  }
  let at = DESCRIPTOR_HEADER_BYTES;
  for (; at < sense.length; at += 2 + sense[at + 1]!) {
    if (sense[at] === FORWARDED) continue;
    assert.equal(2 + sense[at + 1]!, DESCRIPTORS.get(sense[at]!), `sense data descriptor ${sense[at]}`);
  }
  assert.equal(at, sense.length, "descriptors fill what was announced");
}

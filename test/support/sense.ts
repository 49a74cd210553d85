/** What a CHECK CONDITION says, from fixed format sense data (SPC); like pdu.ts apart from the code under test. */
import assert from "node:assert/strict";
import type { CommandResult } from "./raw-task.js";

const CHECK_CONDITION = 0x02;
const CURRENT_FIXED = 0x70;
const VALID = 0x80;

export interface Sense {
  readonly key: number;
  /** ASC and ASCQ as one number. */
  readonly code: number;
  /** INFORMATION, if it is valid. */
  readonly information: number | undefined;
}

/** The sense of a command that must have ended with CHECK CONDITION. */
export function senseOf({ response, status, sense }: CommandResult): Sense {
  assert.deepEqual({ response, status }, { response: 0, status: CHECK_CONDITION });
  assert.equal(sense[0]! & 0x7f, CURRENT_FIXED, "response code");
  return {
    key: sense[2]! & 0x0f,
    code: sense.readUInt16BE(12),
    information: (sense[0]! & VALID) !== 0 ? sense.readUInt32BE(3) : undefined,
  };
}

export const MEDIUM_ERROR = 0x3;
export const DATA_PROTECT = 0x7;
export const WRITE_ERROR = 0x0c00;
export const UNRECOVERED_READ_ERROR = 0x1100;
export const WRITE_PROTECTED = 0x2700;
export const SPACE_ALLOCATION_FAILED = 0x2707;

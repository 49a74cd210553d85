/** SANITIZE (SBC-4): what it asks for. The command table has judged reserved bits, and that erasing has no parameter list. */

import { PARAMETER_LIST_LENGTH_ERROR } from "../../../dataplane/scsi/sense.js";
import { invalidFieldOfCdb, invalidFieldOfList, senseAnswer } from "../answers.js";
import { type Refused, type Request, refused } from "./request.js";
import { ERASE, type Work } from "./work.js";

const ACTION_OVERWRITE = 0x01;
export const ACTION_EXIT_FAILURE_MODE = 0x1f;
export const SERVICE_ACTION_BIT = 4;

export const FLAGS_BYTE = 1;
const SERVICE_ACTION_MASK = 0x1f;
const FLAG_IMMED = 0x80;
const FLAG_AUSE = 0x20;
export const FLAG_AUSE_BIT = 5;
const LENGTH_BYTE = 7;

/*
 *   0 INVERT, TEST (2 bits), OVERWRITE COUNT (5)    1 reserved    2-3 INITIALIZATION PATTERN LENGTH    4- INITIALIZATION PATTERN
 */
const HEADER_BYTES = 4;
const FLAG_INVERT = 0x80;
const TEST_MASK = 0x60;
const TEST_BIT = 6;
const COUNT_MASK = 0x1f;
const COUNT_BIT = 4;
const PATTERN_LENGTH_BYTE = 2;

export function serviceActionOf(cdb: Uint8Array): number {
  return cdb[FLAGS_BYTE]! & SERVICE_ACTION_MASK;
}

export function allowsExit(cdb: Uint8Array): boolean {
  return (cdb[FLAGS_BYTE]! & FLAG_AUSE) !== 0;
}

/** Of any service action but EXIT FAILURE MODE. There is no key to forget: CRYPTOGRAPHIC ERASE does what BLOCK ERASE does. */
export function judgeSanitize(cdb: Uint8Array, list: Uint8Array, blockLengthBytes: number): Request {
  const work = serviceActionOf(cdb) === ACTION_OVERWRITE ? judgeOverwrite(cdb, list, blockLengthBytes) : ERASE;
  if (work.kind === "refused") return work;
  const isImmediate = (cdb[FLAGS_BYTE]! & FLAG_IMMED) !== 0;
  return { kind: "work", work, isImmediate, allowsExit: allowsExit(cdb) };
}

function judgeOverwrite(cdb: Uint8Array, list: Uint8Array, blockLengthBytes: number): Work | Refused {
  const length = (cdb[LENGTH_BYTE]! << 8) | cdb[LENGTH_BYTE + 1]!;
  if (length <= HEADER_BYTES || length > HEADER_BYTES + blockLengthBytes)
    return refused(invalidFieldOfCdb(LENGTH_BYTE));
  if (list.length < length) return refused(senseAnswer(PARAMETER_LIST_LENGTH_ERROR));
  // The other codes are for vendors, and make less of it.
  if ((list[0]! & TEST_MASK) !== 0) return refused(invalidFieldOfList(0, TEST_BIT));
  const passes = list[0]! & COUNT_MASK;
  if (passes === 0) return refused(invalidFieldOfList(0, COUNT_BIT));
  if (list[1] !== 0) return refused(invalidFieldOfList(1));
  const patternLength = (list[PATTERN_LENGTH_BYTE]! << 8) | list[PATTERN_LENGTH_BYTE + 1]!;
  if (patternLength === 0 || patternLength > blockLengthBytes) return refused(invalidFieldOfList(PATTERN_LENGTH_BYTE));
  if (HEADER_BYTES + patternLength > length) return refused(senseAnswer(PARAMETER_LIST_LENGTH_ERROR));
  const pattern = Buffer.from(list.subarray(HEADER_BYTES, HEADER_BYTES + patternLength)).toString("hex");
  return { kind: "overwrite", pattern, passes, invert: (list[0]! & FLAG_INVERT) !== 0 };
}

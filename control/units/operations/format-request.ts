/**
 * FORMAT UNIT (SBC-4): what it asks for. Blocks keep their number and length. There are no defects, and so no lists of them;
 * what has to do with protection information is refused by name, there being none.
 */

import { INVALID_FAST_FORMAT, PARAMETER_LIST_LENGTH_ERROR } from "../../../dataplane/scsi/sense.js";
import { invalidFieldOfCdb, invalidFieldOfList, senseAnswer } from "../answers.js";
import { leftmostBit, type Request, refused } from "./request.js";
import { ERASE, type Work } from "./work.js";

// CDB
const FLAGS_BYTE = 1;
const FLAG_LONGLIST = 0x20;
const FLAG_FMTDATA = 0x10;
const DEFECT_LIST_FORMAT_MASK = 0x07;
const DEFECT_LIST_FORMAT_BIT = 2;
/** Physical sector format, the last that SBC-4 defines. */
const DEFECT_LIST_FORMAT_LAST = 5;
const FFMT_BYTE = 4;

/*
 *   short header   0 PROTECTION FIELD USAGE    1 options    2-3 DEFECT LIST LENGTH
 *   long header    0 PROTECTION FIELD USAGE    1 options    3 P_I_INFORMATION, PROTECTION INTERVAL EXPONENT    4-7 DEFECT LIST LENGTH
 */
const SHORT_HEADER_BYTES = 4;
const LONG_HEADER_BYTES = 8;
const OPTIONS_BYTE = 1;
const FLAG_FOV = 0x80;
/** DPRY, DCRT, STPF and IP. */
const FORMAT_OPTIONS = 0x78;
const FLAG_IP = 0x08;
const FLAG_IMMED = 0x02;
const VENDOR_SPECIFIC = 0x01;

/*
 *   initialization pattern descriptor   0 SI and obsolete    1 INITIALIZATION PATTERN TYPE    2-3 INITIALIZATION PATTERN LENGTH    4- pattern
 */
const DESCRIPTOR_BYTES = 4;
const PATTERN_TYPE_DEFAULT = 0x00;
const PATTERN_TYPE_REPEATED = 0x01;

/** What of the unit matters here. */
export interface FormattedUnit {
  readonly blockLengthBytes: number;
  readonly thin: boolean;
}

/** A list that is refused. */
class Refusal extends Error {
  readonly answer: Parameters<typeof refused>[0];

  constructor(answer: Parameters<typeof refused>[0]) {
    super("the parameter list is refused");
    this.answer = answer;
  }
}

export function judgeFormat(cdb: Uint8Array, list: Uint8Array, unit: FormattedUnit): Request {
  try {
    return judge(cdb, list, unit);
  } catch (error) {
    if (error instanceof Refusal) return refused(error.answer);
    throw error;
  }
}

function judge(cdb: Uint8Array, list: Uint8Array, unit: FormattedUnit): Request {
  const flags = cdb[FLAGS_BYTE]!;
  const hasList = (flags & FLAG_FMTDATA) !== 0;
  const defectListFormat = flags & DEFECT_LIST_FORMAT_MASK;
  if (defectListFormat > (hasList ? DEFECT_LIST_FORMAT_LAST : 0)) {
    throw new Refusal(invalidFieldOfCdb(FLAGS_BYTE, DEFECT_LIST_FORMAT_BIT));
  }
  const headerBytes = (flags & FLAG_LONGLIST) !== 0 ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES;
  const options = hasList ? judgeHeader(list, headerBytes) : 0;
  const work = (options & FLAG_IP) !== 0 ? judgePattern(list, headerBytes, unit.blockLengthBytes) : ERASE;
  // "without overwriting the medium": only what can be deallocated loses its data so.
  if (cdb[FFMT_BYTE] !== 0 && (work.kind !== "erase" || !unit.thin))
    throw new Refusal(senseAnswer(INVALID_FAST_FORMAT));
  return { kind: "work", work, isImmediate: (options & FLAG_IMMED) !== 0, allowsExit: false };
}

/** Returns the byte of options. */
function judgeHeader(list: Uint8Array, headerBytes: number): number {
  if (list.length < headerBytes) throw new Refusal(senseAnswer(PARAMETER_LIST_LENGTH_ERROR));
  const options = list[OPTIONS_BYTE]!;
  refuseBits(list, 0, 0xff);
  refuseBits(list, OPTIONS_BYTE, VENDOR_SPECIFIC | ((options & FLAG_FOV) === 0 ? FORMAT_OPTIONS : 0));
  const defectListLengthAt = headerBytes === LONG_HEADER_BYTES ? 4 : 2;
  for (let byte = 2; byte < defectListLengthAt; byte++) refuseBits(list, byte, 0xff);
  if (list.subarray(defectListLengthAt, headerBytes).some((byte) => byte !== 0)) {
    throw new Refusal(invalidFieldOfList(defectListLengthAt));
  }
  return options;
}

function judgePattern(list: Uint8Array, at: number, blockLengthBytes: number): Work {
  if (list.length < at + DESCRIPTOR_BYTES) throw new Refusal(senseAnswer(PARAMETER_LIST_LENGTH_ERROR));
  refuseBits(list, at, 0xff);
  const type = list[at + 1]!;
  const length = (list[at + 2]! << 8) | list[at + 3]!;
  if (type > PATTERN_TYPE_REPEATED) throw new Refusal(invalidFieldOfList(at + 1));
  const isLengthLegal = type === PATTERN_TYPE_DEFAULT ? length === 0 : length > 0 && length <= blockLengthBytes;
  if (!isLengthLegal) throw new Refusal(invalidFieldOfList(at + 2));
  if (list.length < at + DESCRIPTOR_BYTES + length) throw new Refusal(senseAnswer(PARAMETER_LIST_LENGTH_ERROR));
  const pattern = list.subarray(at + DESCRIPTOR_BYTES, at + DESCRIPTOR_BYTES + length);
  // "each LBA [...] shall be unmapped, if the format operation initialized the user data to all zeroes" (where LBPRZ is 1).
  if (pattern.every((byte) => byte === 0)) return ERASE;
  return { kind: "overwrite", pattern: Buffer.from(pattern).toString("hex"), passes: 1, invert: false };
}

function refuseBits(list: Uint8Array, byte: number, illegal: number): void {
  const found = list[byte]! & illegal;
  if (found !== 0) throw new Refusal(invalidFieldOfList(byte, leftmostBit(found)));
}

/**
 * Parameter lists of EXTENDED COPY (SPC-5): a header, CSCD descriptors (the units that take part), segment descriptors (what
 * goes from where to where). They are judged whole before anything is copied.
 *
 *     LID1   0 LIST IDENTIFIER    1 STR (5), LIST ID USAGE (4-3), PRIORITY (2-0)    2-3 length of the CSCD descriptors
 *            8-11 length of the segment descriptors    12-15 length of inline data    16- descriptors
 *     LID4   0 PARAMETER LIST FORMAT 01h    1 as LID1    2-3 HEADER CSCD DESCRIPTOR LIST LENGTH 0020h    15 G_SENSE (1), IMMED (0)
 *            16 HEADER CSCD DESCRIPTOR TYPE CODE FFh    20-23 LIST IDENTIFIER    42-43 length of the CSCD descriptors
 *            44-45 length of the segment descriptors    46-47 length of inline data    48- descriptors
 *
 * STR and PRIORITY change nothing: segments are copied in order, and all copies alike. NRCR of older initiators is LIST ID
 * USAGE 10b.
 */
import {
  fieldInParameterList,
  INLINE_DATA_LENGTH_EXCEEDED,
  TOO_MANY_SEGMENT_DESCRIPTORS,
  TOO_MANY_TARGET_DESCRIPTORS,
  UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE,
  UNSUPPORTED_TARGET_DESCRIPTOR_TYPE_CODE,
} from "../../../dataplane/scsi/sense.js";
import {
  CSCD_BYTES,
  CSCD_DESCRIPTORS_MAX,
  CSCD_IDENTIFICATION,
  DESCRIPTOR_LIST_BYTES_MAX,
  SEGMENT_BLOCK_TO_BLOCK,
  SEGMENT_BLOCK_TO_BLOCK_BYTES,
  SEGMENT_DESCRIPTORS_MAX,
} from "../../../dataplane/scsi/third-party-copy.js";
import { getUint64 } from "../../../dataplane/scsi/uint64.js";
import { refuse, refuseField, refuseLength } from "./parameter-list.js";

export interface ExtendedCopyList {
  /** Null: the copy has none, and nobody can ask for its status. */
  readonly listIdentifier: number | null;
  /** IMMED: the status goes out before the copy is done. */
  readonly isImmediate: boolean;
  readonly cscds: readonly Cscd[];
  readonly segments: readonly Segment[];
}

/** Identification descriptor of a copy source or copy destination. */
export interface Cscd {
  /** Where in the list it begins. */
  readonly at: number;
  readonly peripheralDeviceType: number;
  readonly codeSet: number;
  readonly association: number;
  readonly designatorType: number;
  readonly designator: Uint8Array;
  /** DISK BLOCK LENGTH; 0: not told. */
  readonly blockLengthBytes: number;
}

/** Block device to block device. */
export interface Segment {
  /** DC: `blocks` are the destination's. */
  readonly countsDestination: boolean;
  readonly sourceId: number;
  readonly destinationId: number;
  readonly blocks: number;
  readonly sourceLba: number;
  readonly destinationLba: number;
}

// Fields of a segment descriptor, from its start: what a segment pointer points to.
export const SEGMENT_SOURCE_ID = 4;
export const SEGMENT_DESTINATION_ID = 6;
export const SEGMENT_SOURCE_LBA = 12;
export const SEGMENT_DESTINATION_LBA = 20;

const FLAGS_BYTE = 1;
const LIST_ID_USAGE_SHIFT = 3;
const LIST_ID_USAGE_BIT = 4;
const LIST_ID_USAGE_RESERVED = 0x1;
const LIST_ID_USAGE_NONE = 0x3;

const HEADER_LID1_BYTES = 16;
const HEADER_LID4_BYTES = 48;
const LIST_FORMAT_LID4 = 0x01;
const HEADER_CSCD_BYTES = 0x0020;
const HEADER_CSCD_TYPE = 0xff;
const FLAG_IMMED = 0x01;
const FLAG_DC = 0x02;

interface Header {
  readonly listIdentifier: number | null;
  readonly isImmediate: boolean;
  readonly bytes: number;
  /** Fields that tell lengths: where they are, and what they say. */
  readonly cscds: LengthField;
  readonly segments: LengthField;
  readonly inline: LengthField;
}

interface LengthField {
  readonly at: number;
  readonly length: number;
}

export function parseExtendedCopyLid1(list: DataView): ExtendedCopyList {
  if (list.byteLength < HEADER_LID1_BYTES) refuseLength();
  return parse(list, {
    listIdentifier: listIdentifier(list, list.getUint8(0), 0),
    isImmediate: false,
    bytes: HEADER_LID1_BYTES,
    cscds: { at: 2, length: list.getUint16(2) },
    segments: { at: 8, length: list.getUint32(8) },
    inline: { at: 12, length: list.getUint32(12) },
  });
}

export function parseExtendedCopyLid4(list: DataView): ExtendedCopyList {
  if (list.byteLength < HEADER_LID4_BYTES) refuseLength();
  if (list.getUint8(0) !== LIST_FORMAT_LID4) refuseField(0);
  if (list.getUint16(2) !== HEADER_CSCD_BYTES) refuseField(2);
  if (list.getUint8(16) !== HEADER_CSCD_TYPE) refuseField(16);
  const isImmediate = (list.getUint8(15) & FLAG_IMMED) !== 0;
  const identifier = listIdentifier(list, list.getUint32(20), 20);
  // Nobody could hear how it ends.
  if (isImmediate && identifier === null) refuseField(FLAGS_BYTE, LIST_ID_USAGE_BIT);
  return parse(list, {
    listIdentifier: identifier,
    isImmediate,
    bytes: HEADER_LID4_BYTES,
    cscds: { at: 42, length: list.getUint16(42) },
    segments: { at: 44, length: list.getUint16(44) },
    inline: { at: 46, length: list.getUint16(46) },
  });
}

function listIdentifier(list: DataView, told: number, at: number): number | null {
  const usage = (list.getUint8(FLAGS_BYTE) >>> LIST_ID_USAGE_SHIFT) & 0x3;
  if (usage === LIST_ID_USAGE_RESERVED) refuseField(FLAGS_BYTE, LIST_ID_USAGE_BIT);
  if (usage !== LIST_ID_USAGE_NONE) return told;
  if (told !== 0) refuseField(at);
  return null;
}

function parse(list: DataView, header: Header): ExtendedCopyList {
  const { listIdentifier, isImmediate, cscds, segments, inline } = header;
  if (cscds.length + segments.length > DESCRIPTOR_LIST_BYTES_MAX) refuseLength();
  if (inline.length > 0) refuse(INLINE_DATA_LENGTH_EXCEEDED, fieldInParameterList(inline.at));
  if (header.bytes + cscds.length + segments.length > list.byteLength) refuseLength();
  if (cscds.length % CSCD_BYTES !== 0) refuseField(cscds.at);
  if (cscds.length / CSCD_BYTES > CSCD_DESCRIPTORS_MAX) {
    refuse(TOO_MANY_TARGET_DESCRIPTORS, fieldInParameterList(cscds.at));
  }
  const segmentsAt = header.bytes + cscds.length;
  return {
    listIdentifier,
    isImmediate,
    cscds: parseCscds(list, header.bytes, segmentsAt),
    segments: parseSegments(list, segmentsAt, segments),
  };
}

/**
 *     0 type code E4h    1 LU ID TYPE (7-6), PERIPHERAL DEVICE TYPE (4-0)    2-3 RELATIVE INITIATOR PORT IDENTIFIER
 *     4 CODE SET (3-0)    5 ASSOCIATION (5-4), DESIGNATOR TYPE (3-0)    7 DESIGNATOR LENGTH    8-27 DESIGNATOR
 *     28 PAD (2)    29-31 DISK BLOCK LENGTH
 */
function parseCscds(list: DataView, start: number, end: number): Cscd[] {
  const cscds: Cscd[] = [];
  for (let at = start; at < end; at += CSCD_BYTES) {
    if (list.getUint8(at) !== CSCD_IDENTIFICATION) {
      refuse(UNSUPPORTED_TARGET_DESCRIPTOR_TYPE_CODE, fieldInParameterList(at));
    }
    const length = list.getUint8(at + 7);
    if (length > DESIGNATOR_BYTES_MAX) refuseField(at + 7);
    cscds.push({
      at,
      peripheralDeviceType: list.getUint8(at + 1) & 0x1f,
      codeSet: list.getUint8(at + 4) & 0x0f,
      association: (list.getUint8(at + 5) >>> 4) & 0x03,
      designatorType: list.getUint8(at + 5) & 0x0f,
      designator: new Uint8Array(list.buffer, list.byteOffset + at + 8, length),
      blockLengthBytes: list.getUint32(at + 28) & 0xff_ffff,
    });
  }
  return cscds;
}

const DESIGNATOR_BYTES_MAX = 20;

/** Before what a segment descriptor's DESCRIPTOR LENGTH counts. */
const SEGMENT_HEADER_BYTES = 4;

/**
 *     0 type code 02h    1 DC (1), CAT (0)    2-3 DESCRIPTOR LENGTH 0018h    4-5 SOURCE CSCD DESCRIPTOR ID
 *     6-7 DESTINATION CSCD DESCRIPTOR ID    10-11 BLOCK DEVICE NUMBER OF BLOCKS    12-19 SOURCE BLOCK DEVICE LBA
 *     20-27 DESTINATION BLOCK DEVICE LBA
 */
function parseSegments(list: DataView, start: number, { at: lengthAt, length }: LengthField): Segment[] {
  const segments: Segment[] = [];
  const end = start + length;
  for (let at = start; at < end; at += SEGMENT_BLOCK_TO_BLOCK_BYTES) {
    if (segments.length === SEGMENT_DESCRIPTORS_MAX) {
      refuse(TOO_MANY_SEGMENT_DESCRIPTORS, fieldInParameterList(lengthAt));
    }
    if (list.getUint8(at) !== SEGMENT_BLOCK_TO_BLOCK) {
      refuse(UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE, fieldInParameterList(at));
    }
    if (at + SEGMENT_BLOCK_TO_BLOCK_BYTES > end) refuseField(lengthAt);
    if (list.getUint16(at + 2) !== SEGMENT_BLOCK_TO_BLOCK_BYTES - SEGMENT_HEADER_BYTES) refuseField(at + 2);
    segments.push({
      countsDestination: (list.getUint8(at + 1) & FLAG_DC) !== 0,
      sourceId: list.getUint16(at + SEGMENT_SOURCE_ID),
      destinationId: list.getUint16(at + SEGMENT_DESTINATION_ID),
      blocks: list.getUint16(at + 10),
      sourceLba: getUint64(list, at + SEGMENT_SOURCE_LBA),
      destinationLba: getUint64(list, at + SEGMENT_DESTINATION_LBA),
    });
  }
  return segments;
}

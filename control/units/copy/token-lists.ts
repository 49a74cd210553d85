/**
 * Parameter lists of POPULATE TOKEN and WRITE USING TOKEN (SBC-4), and what a token's use comes to.
 *
 *     POPULATE TOKEN      0-1 length of what follows    2 RTV (1), IMMED (0)    4-7 INACTIVITY TIMEOUT    8-11 ROD TYPE
 *                         14-15 length of the range descriptors    16- range descriptors
 *     WRITE USING TOKEN   0-1 length of what follows    2 DEL_TKN (1), IMMED (0)    8-15 OFFSET INTO ROD    16-527 ROD TOKEN
 *                         534-535 length of the range descriptors    536- range descriptors
 *     range descriptor    0-7 LBA    8-11 NUMBER OF LOGICAL BLOCKS
 */

import type { UnitRecord } from "../../../dataplane/messages.js";
import { firstBeyond } from "../../../dataplane/scsi/range.js";
import {
  fieldInParameterList,
  LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE,
  TOO_MANY_SEGMENT_DESCRIPTORS,
} from "../../../dataplane/scsi/sense.js";
import {
  RANGE_DESCRIPTORS_MAX,
  ROD_TYPE_ACCESS_UPON_REFERENCE,
  TOKEN_INACTIVITY_DEFAULT_S,
  TOKEN_INACTIVITY_MAX_S,
} from "../../../dataplane/scsi/third-party-copy.js";
import { getUint64 } from "../../../dataplane/scsi/uint64.js";
import { senseAnswer } from "../answers.js";
import type { CopyPart } from "./copy-operation.js";
import { Refusal, refuse, refuseField, refuseLength } from "./parameter-list.js";
import type { Reach } from "./reach.js";
import { type BlockRange, ROD_TOKEN_BYTES, type RodToken } from "./rod-tokens.js";

const FLAGS_BYTE = 2;
const FLAG_IMMED = 0x01;
/** Of POPULATE TOKEN. */
const FLAG_RTV = 0x02;
const INACTIVITY_TIMEOUT = 4;
const ROD_TYPE = 8;
const POPULATE_RANGES_LENGTH = 14;
/** Of WRITE USING TOKEN. */
const FLAG_DEL_TKN = 0x02;
const OFFSET_INTO_ROD = 8;
const ROD_TOKEN = 16;
const WRITE_RANGES_LENGTH = 534;
const RANGE_BYTES = 16;

export interface PopulateToken {
  readonly timeoutMs: number;
  readonly ranges: readonly BlockRange[];
}

export interface WriteUsingToken {
  readonly isImmediate: boolean;
  readonly deletesToken: boolean;
  /** In blocks of the unit that is written. */
  readonly offsetIntoRod: number;
  readonly token: Uint8Array;
  readonly ranges: readonly BlockRange[];
}

/** @throws Refusal */
export function parsePopulateToken(list: DataView, unit: UnitRecord): PopulateToken {
  judgeLengths(list, POPULATE_RANGES_LENGTH);
  const timeoutS = list.getUint32(INACTIVITY_TIMEOUT);
  if (timeoutS > TOKEN_INACTIVITY_MAX_S) refuseField(INACTIVITY_TIMEOUT);
  const namesType = (list.getUint8(FLAGS_BYTE) & FLAG_RTV) !== 0;
  if (namesType && list.getUint32(ROD_TYPE) !== ROD_TYPE_ACCESS_UPON_REFERENCE) refuseField(ROD_TYPE);
  const timeoutMs = (timeoutS === 0 ? TOKEN_INACTIVITY_DEFAULT_S : timeoutS) * 1000;
  return { timeoutMs, ranges: parseRanges(list, POPULATE_RANGES_LENGTH, unit) };
}

/** @throws Refusal */
export function parseWriteUsingToken(list: DataView, unit: UnitRecord): WriteUsingToken {
  judgeLengths(list, WRITE_RANGES_LENGTH);
  const flags = list.getUint8(FLAGS_BYTE);
  return {
    isImmediate: (flags & FLAG_IMMED) !== 0,
    deletesToken: (flags & FLAG_DEL_TKN) !== 0,
    offsetIntoRod: getUint64(list, OFFSET_INTO_ROD),
    token: new Uint8Array(list.buffer, list.byteOffset + ROD_TOKEN, ROD_TOKEN_BYTES),
    ranges: parseRanges(list, WRITE_RANGES_LENGTH, unit),
  };
}

/** `rangesLengthAt`: where the length of the range descriptors stands, right before them. */
function judgeLengths(list: DataView, rangesLengthAt: number): void {
  const rangesAt = rangesLengthAt + 2;
  if (list.byteLength < rangesAt) refuseLength();
  const length = list.getUint16(rangesLengthAt);
  if (length < RANGE_BYTES || length % RANGE_BYTES !== 0) refuseField(rangesLengthAt);
  if (rangesAt + length > list.byteLength) refuseLength();
  // What the list says of its own length.
  if (list.getUint16(0) + 2 < rangesAt + length) refuseField(0);
  if (length / RANGE_BYTES > RANGE_DESCRIPTORS_MAX) {
    refuse(TOO_MANY_SEGMENT_DESCRIPTORS, fieldInParameterList(rangesLengthAt));
  }
}

function parseRanges(list: DataView, lengthAt: number, { state, blockLengthBytes }: UnitRecord): BlockRange[] {
  const start = lengthAt + 2;
  const end = start + list.getUint16(lengthAt);
  const capacity = state.sizeBytes / blockLengthBytes;
  const ranges: (BlockRange & { readonly at: number })[] = [];
  for (let at = start; at < end; at += RANGE_BYTES) {
    const lba = getUint64(list, at);
    const blocks = list.getUint32(at + 8);
    if (lba + blocks > capacity) {
      const answer = senseAnswer(LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE);
      const information = firstBeyond(lba, capacity);
      throw new Refusal(information < 0 || answer.kind !== "sense" ? answer : { ...answer, information });
    }
    ranges.push({ lba, blocks, at });
  }
  const sorted = ranges.filter(({ blocks }) => blocks > 0).sort((one, other) => one.lba - other.lba);
  for (const [i, { lba, at }] of sorted.entries()) {
    const before = sorted[i - 1];
    if (before !== undefined && before.lba + before.blocks > lba) refuseField(Math.max(at, before.at));
  }
  return ranges;
}

export interface TokenUse {
  readonly parts: readonly CopyPart[];
  /** The ROD has less than the ranges want. */
  readonly isPartial: boolean;
}

/** Writes zeroes to the ranges. */
export function planZeroes(ranges: readonly BlockRange[], destination: Reach, unit: UnitRecord): TokenUse {
  const parts = ranges.map(
    ({ lba, blocks }, segment): CopyPart => ({
      source: null,
      sourceOffset: 0,
      destination,
      destinationOffset: lba * unit.blockLengthBytes,
      length: blocks * unit.blockLengthBytes,
      segment,
    }),
  );
  return { parts, isPartial: false };
}

/**
 * Lays the bytes of the ROD, from the offset on, over the ranges: as far as they go, in whole blocks of the destination.
 *
 * @throws Refusal where the offset lies beyond them.
 */
export function planTokenUse(
  { ranges, offsetIntoRod }: WriteUsingToken,
  token: RodToken,
  source: Reach,
  destination: Reach,
  unit: UnitRecord,
): TokenUse {
  const rod = token.ranges.map(({ lba, blocks }) => ({
    offset: lba * token.blockLengthBytes,
    length: blocks * token.blockLengthBytes,
  }));
  const rodBytes = rod.reduce((sum, { length }) => sum + length, 0);
  const offset = offsetIntoRod * unit.blockLengthBytes;
  if (offset >= rodBytes) refuseField(OFFSET_INTO_ROD);
  const wanted = ranges.reduce((sum, { blocks }) => sum + blocks, 0) * unit.blockLengthBytes;
  const available = rodBytes - offset;
  let left = Math.min(wanted, available - (available % unit.blockLengthBytes));
  const isPartial = left < wanted;
  const parts: CopyPart[] = [];
  let index = 0;
  let within = offset;
  for (const [segment, { lba, blocks }] of ranges.entries()) {
    let destinationOffset = lba * unit.blockLengthBytes;
    let room = blocks * unit.blockLengthBytes;
    while (room > 0 && left > 0) {
      const piece = rod[index]!;
      if (within >= piece.length) {
        within -= piece.length;
        index++;
        continue;
      }
      const length = Math.min(room, left, piece.length - within);
      parts.push({ source, sourceOffset: piece.offset + within, destination, destinationOffset, length, segment });
      destinationOffset += length;
      within += length;
      room -= length;
      left -= length;
    }
  }
  return { parts, isPartial };
}

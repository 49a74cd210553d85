/** GET LBA STATUS (SBC-4): which blocks are in use, told from the file's real holes. */
import { errno, seekData, seekHole } from "io-uring-node";
import type { ScsiAnswer, UnitRecord } from "../../dataplane/messages.js";
import { getUint64, setUint64 } from "../../dataplane/scsi/uint64.js";
import { invalidFieldOfCdb } from "./answers.js";
import type { SlowCommand } from "./slow-commands.js";

export const OPCODE_SERVICE_ACTION_IN_16 = 0x9e;
export const SERVICE_ACTION_GET_LBA_STATUS = 0x12;

const CDB_STARTING_LBA = 2;
const CDB_ALLOCATION_LENGTH = 10;
const CDB_REPORT_TYPE = 14;
const HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
/** Stretches told of in one answer, each of which costs a look at the file: who wants more asks again from there. */
const DESCRIPTORS_MAX = 256;
const BLOCKS_MAX = 0xffff_ffff;

// PROVISIONING STATUS
const MAPPED_OR_UNKNOWN = 0;
const DEALLOCATED = 1;
const MAPPED = 3;

/** REPORT TYPE -> the statuses that are told of. Nothing is anchored, and of no block is it known that it cannot be read. */
const REPORTED: ReadonlyMap<number, readonly number[]> = new Map([
  [0x00, [MAPPED_OR_UNKNOWN, DEALLOCATED]],
  [0x01, [MAPPED, DEALLOCATED]],
  [0x02, [MAPPED]],
  [0x03, [DEALLOCATED]],
  [0x04, []],
  [0x10, []],
]);

// COMPLETION CONDITION, beside RTP: the report type is heeded.
const NOT_TOLD = 0 << 1;
const ALLOCATION_LENGTH_MET = 1 << 1;
const CAPACITY_REACHED = 3 << 1;
const RTP = 0x01;

/** Blocks of one status. */
interface Stretch {
  readonly lba: number;
  readonly blocks: number;
  readonly status: number;
}

/**
 *     header      0-3 length of what follows    7 COMPLETION CONDITION (3-1), RTP
 *     descriptor  0-7 LBA    8-11 number of blocks    12 PROVISIONING STATUS    13-15 reserved
 */
export function answerLbaStatus({ unit, cdb }: Pick<SlowCommand, "unit" | "cdb">): ScsiAnswer {
  const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
  const allocationLength = view.getUint32(CDB_ALLOCATION_LENGTH);
  const reported = REPORTED.get(cdb[CDB_REPORT_TYPE]!);
  if (reported === undefined) return invalidFieldOfCdb(CDB_REPORT_TYPE);
  // At least one is looked for, also where there is no room for it: the length tells that there is one.
  const room = Math.max(1, Math.floor((allocationLength - HEADER_BYTES) / DESCRIPTOR_BYTES));
  const first = getUint64(view, CDB_STARTING_LBA);
  const { stretches, isWhole } = findStretches(unit, first, Math.min(DESCRIPTORS_MAX, room), reported);
  const data = new DataView(new ArrayBuffer(HEADER_BYTES + stretches.length * DESCRIPTOR_BYTES));
  data.setUint32(0, data.byteLength - 4);
  const isFull = stretches.length >= room;
  data.setUint8(7, (isWhole ? CAPACITY_REACHED : isFull ? ALLOCATION_LENGTH_MET : NOT_TOLD) | RTP);
  for (const [index, { lba, blocks, status }] of stretches.entries()) {
    const at = HEADER_BYTES + index * DESCRIPTOR_BYTES;
    setUint64(data, at, lba);
    data.setUint32(at + 8, blocks);
    data.setUint8(at + 12, status);
  }
  return { kind: "good", data: Buffer.from(data.buffer).toString("hex"), allocationLength };
}

/** Those that are to be reported, from a block on to the end of the unit or up to so many. */
function findStretches(
  unit: UnitRecord,
  first: number,
  countMax: number,
  reported: readonly number[],
): { readonly stretches: Stretch[]; readonly isWhole: boolean } {
  const { blockLengthBytes } = unit;
  const end = unit.state.sizeBytes / blockLengthBytes;
  const stretches: Stretch[] = [];
  let lba = reported.length === 0 ? end : first;
  while (lba < end && stretches.length < countMax) {
    const { blocks: left, isMapped } = stretchAt(unit, lba, end);
    const status = isMapped ? (reported.includes(MAPPED_OR_UNKNOWN) ? MAPPED_OR_UNKNOWN : MAPPED) : DEALLOCATED;
    const isReported = reported.includes(status);
    const blocks = isReported ? Math.min(left, BLOCKS_MAX) : left;
    if (isReported) stretches.push({ lba, blocks, status });
    lba += blocks;
  }
  return { stretches, isWhole: lba >= end };
}

/** A block that is data in part is mapped. */
function stretchAt(
  { kind, thin, fd, blockLengthBytes }: UnitRecord,
  lba: number,
  end: number,
): { readonly blocks: number; readonly isMapped: boolean } {
  if (!thin) return { blocks: end - lba, isMapped: true };
  if (kind === "null") return { blocks: end - lba, isMapped: false };
  const data = seekData(fd, lba * blockLengthBytes);
  // The rest of the file is a hole, or the file ends before the unit.
  if (data === -errno.ENXIO) return { blocks: end - lba, isMapped: false };
  // A file system that does not tell, or an error: nothing is known.
  if (data < 0) return { blocks: end - lba, isMapped: true };
  const dataBlock = Math.min(end, Math.floor(data / blockLengthBytes));
  if (dataBlock > lba) return { blocks: dataBlock - lba, isMapped: false };
  const hole = seekHole(fd, data);
  const holeBlock = hole < 0 ? end : Math.min(end, Math.ceil(hole / blockLengthBytes));
  return { blocks: holeBlock - lba, isMapped: true };
}

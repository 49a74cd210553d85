/** GET LBA STATUS (SBC-4 section 5.5): which blocks are in use, told from the file's real holes. */
import { errno, seekData, seekHole } from "io-uring-node";
import type { ScsiAnswer, UnitRecord } from "../../dataplane/messages.js";
import { getUint64, setUint64 } from "../../dataplane/scsi/uint64.js";
import type { SlowCommand } from "./slow-commands.js";

export const OPCODE_SERVICE_ACTION_IN_16 = 0x9e;
export const SERVICE_ACTION_GET_LBA_STATUS = 0x12;

const CDB_STARTING_LBA = 2;
const CDB_ALLOCATION_LENGTH = 10;
const HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
/** Stretches told of in one answer, each of which costs a look at the file: who wants more asks again from there. */
const DESCRIPTORS_MAX = 256;
const BLOCKS_MAX = 0xffff_ffff;

/** PROVISIONING STATUS: mapped, or not known; and deallocated. */
const MAPPED = 0;
const DEALLOCATED = 1;

/** Blocks of one status. */
interface Stretch {
  readonly lba: number;
  readonly blocks: number;
  readonly status: number;
}

/**
 *     header      0-3 length of what follows    4-7 reserved
 *     descriptor  0-7 LBA    8-11 number of blocks    12 PROVISIONING STATUS    13-15 reserved
 */
export function answerLbaStatus({ unit, cdb }: Pick<SlowCommand, "unit" | "cdb">): ScsiAnswer {
  const view = new DataView(cdb.buffer, cdb.byteOffset, cdb.byteLength);
  const allocationLength = view.getUint32(CDB_ALLOCATION_LENGTH);
  // At least one is looked for, also where there is no room for it: the length tells that there is one.
  const room = Math.floor((allocationLength - HEADER_BYTES) / DESCRIPTOR_BYTES);
  const stretches = findStretches(
    unit,
    getUint64(view, CDB_STARTING_LBA),
    Math.min(DESCRIPTORS_MAX, Math.max(1, room)),
  );
  const data = new DataView(new ArrayBuffer(HEADER_BYTES + stretches.length * DESCRIPTOR_BYTES));
  data.setUint32(0, data.byteLength - 4);
  for (const [index, { lba, blocks, status }] of stretches.entries()) {
    const at = HEADER_BYTES + index * DESCRIPTOR_BYTES;
    setUint64(data, at, lba);
    data.setUint32(at + 8, blocks);
    data.setUint8(at + 12, status);
  }
  return { kind: "good", data: Buffer.from(data.buffer).toString("hex"), allocationLength };
}

/** From a block on, without gaps, to the end of the unit or up to so many. */
function findStretches(unit: UnitRecord, first: number, countMax: number): Stretch[] {
  const { blockLengthBytes } = unit;
  const end = unit.state.sizeBytes / blockLengthBytes;
  const stretches: Stretch[] = [];
  for (let lba = first; lba < end && stretches.length < countMax; ) {
    const stretch = stretchAt(unit, lba, end);
    const blocks = Math.min(stretch.blocks, BLOCKS_MAX);
    stretches.push({ ...stretch, blocks });
    lba += blocks;
  }
  return stretches;
}

/** A block that is data in part is mapped. */
function stretchAt({ kind, thin, fd, blockLengthBytes }: UnitRecord, lba: number, end: number): Stretch {
  if (!thin) return { lba, blocks: end - lba, status: MAPPED };
  if (kind === "null") return { lba, blocks: end - lba, status: DEALLOCATED };
  const data = seekData(fd, lba * blockLengthBytes);
  // The rest of the file is a hole, or the file ends before the unit.
  if (data === -errno.ENXIO) return { lba, blocks: end - lba, status: DEALLOCATED };
  // A file system that does not tell, or an error: nothing is known.
  if (data < 0) return { lba, blocks: end - lba, status: MAPPED };
  const dataBlock = Math.min(end, Math.floor(data / blockLengthBytes));
  if (dataBlock > lba) return { lba, blocks: dataBlock - lba, status: DEALLOCATED };
  const hole = seekHole(fd, data);
  const holeBlock = hole < 0 ? end : Math.min(end, Math.ceil(hole / blockLengthBytes));
  return { lba, blocks: holeBlock - lba, status: MAPPED };
}

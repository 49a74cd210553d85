/**
 * What limits count of a command, in bytes, beside the command itself: what it asks to have moved to or from the medium, be it
 * between medium and initiator or within the target. It counts whether or not it works out.
 */
import { assert } from "../assert.js";
import { COST_BYTES_MAX } from "../limits.js";
import type { Task } from "../task/task.js";
import { TRANSFER_BYTES_MAX, WRITE_SAME_BYTES_MAX } from "./block-limits.js";
import type { Command, Services } from "./command.js";

assert(
  TRANSFER_BYTES_MAX <= COST_BYTES_MAX && WRITE_SAME_BYTES_MAX <= COST_BYTES_MAX,
  "a command may cost what it moves",
);

/** Where the length stands in the CDB, and how wide it is. */
interface LengthField {
  readonly byte: number;
  readonly width: 1 | 2 | 4;
}

const BLOCKS_OF_ZERO_6 = 256;
const WRITE_SAME_FLAGS_BYTE = 1;
const FLAG_UNMAP = 0x08;

type CostBytes = NonNullable<Command["costBytes"]>;

function blocksAt({ byte, width }: LengthField): CostBytes {
  return ({ cdb, unit }, { bytes, view }) => {
    const blocks =
      width === 4 ? view.getUint32(cdb + byte) : width === 2 ? view.getUint16(cdb + byte) : bytes[cdb + byte]!;
    return blocks * unit!.blockLengthBytes;
  };
}

export const cost10 = blocksAt({ byte: 7, width: 2 });
export const cost12 = blocksAt({ byte: 6, width: 4 });
export const cost16 = blocksAt({ byte: 10, width: 4 });
/** COMPARE AND WRITE. */
export const costOfCompareAndWrite = blocksAt({ byte: 13, width: 1 });
/** WRITE ATOMIC(16). */
export const costOfWriteAtomic = blocksAt({ byte: 12, width: 2 });

/** A length of 0 means 256 in 6-byte CDBs. */
export function cost6({ cdb, unit }: Task, { bytes }: Services): number {
  return (bytes[cdb + 4]! || BLOCKS_OF_ZERO_6) * unit!.blockLengthBytes;
}

/** UNMAP, which moves nothing, and copies inside the server, whose parts control counts (control/units/copy/tolls.ts). */
export function costNothing(): number {
  return 0;
}

/** WRITE SAME: blocks that are deallocated are not written. */
export function unlessUnmapped(cost: CostBytes): CostBytes {
  return (task, services) =>
    (services.bytes[task.cdb + WRITE_SAME_FLAGS_BYTE]! & FLAG_UNMAP) === 0 ? cost(task, services) : 0;
}

/** READ CAPACITY (SBC-4). */
import type { LogicalUnit } from "../storage/logical-unit.js";
import type { Task } from "../task/task.js";
import type { Services } from "./command.js";
import { setUint64 } from "./uint64.js";

const CAPACITY_10_BYTES = 8;
const CAPACITY_16_BYTES = 32;
const ALLOCATION_LENGTH_16 = 10;
const LAST_LBA_MAX_10 = 0xffff_ffff;

const LBPME = 0x80;
const LBPRZ = 0x40;

export function beginReadCapacity10(task: Task, services: Services): void {
  const at = services.parameterBuffer(task, CAPACITY_10_BYTES);
  if (at < 0) return;
  const { view } = services;
  const unit = task.unit!;
  view.setUint32(at, Math.min(unit.blocks - 1, LAST_LBA_MAX_10));
  view.setUint32(at + 4, unit.blockLengthBytes);
  services.reply(task, CAPACITY_10_BYTES, CAPACITY_10_BYTES);
}

/*
 *   0-7 last LBA    8-11 block length    12 P_TYPE, PROT_EN    13 P_I_EXPONENT, LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT
 *   14-15 LBPME, LBPRZ, LOWEST ALIGNED LOGICAL BLOCK ADDRESS    16-31 reserved
 */
export function beginReadCapacity16(task: Task, services: Services): void {
  const at = services.parameterBuffer(task, CAPACITY_16_BYTES);
  if (at < 0) return;
  const { bytes, view } = services;
  const unit = task.unit!;
  setUint64(view, at, unit.blocks - 1);
  view.setUint32(at + 8, unit.blockLengthBytes);
  bytes[at + 13] = physicalBlockExponent(unit);
  bytes[at + 14] = unit.thin ? LBPME | LBPRZ : 0;
  services.reply(task, CAPACITY_16_BYTES, view.getUint32(task.cdb + ALLOCATION_LENGTH_16));
}

/** log2 of the logical blocks in one physical block. */
export function physicalBlockExponent(unit: LogicalUnit): number {
  return 31 - Math.clz32(unit.physicalBlockBytes >>> unit.blockShift);
}

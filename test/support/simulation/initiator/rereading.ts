/** Commands that read all of a unit, when the work is done: whatever was written is there. */
import type { Random } from "../random.js";
import type { SimulatedUnit } from "../unit.js";
import { ReadCommand } from "./block-commands.js";
import type { Command } from "./command.js";

const PIECE_BYTES = 256 * 1024;

export function rereadingCommands(random: Random, lun: number, unit: SimulatedUnit): Command[] {
  const blocksMax = PIECE_BYTES / unit.record.blockLengthBytes;
  const commands: Command[] = [];
  for (let lba = 0; lba < unit.blocks; lba += blocksMax) {
    const blocks = Math.min(blocksMax, unit.blocks - lba);
    commands.push(new ReadCommand(random, lun, { unit, lba, blocks }, blocks * unit.record.blockLengthBytes));
  }
  return commands;
}

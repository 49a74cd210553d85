/** The next command of an initiator. */
import { synchronizeCache10, synchronizeCache16 } from "../../cdb.js";
import type { Random } from "../random.js";
import type { SimulatedUnit } from "../unit.js";
import {
  ReadCommand,
  SynchronizeCacheCommand,
  UnmapCommand,
  VerifyCommand,
  WriteCommand,
  WriteSameCommand,
} from "./block-commands.js";
import type { Command, Range } from "./command.js";
import {
  CompareAndWriteCommand,
  OrWriteCommand,
  VerifyDataCommand,
  WriteAndVerifyCommand,
  WriteAtomicCommand,
} from "./comparing-commands.js";
import { illegalCommand, inquiringCommand, TestUnitReadyCommand } from "./other-commands.js";

export type CommandKind =
  | "read"
  | "write"
  | "writeSame"
  | "unmap"
  | "verify"
  | "verifyData"
  | "writeAndVerify"
  | "compareAndWrite"
  | "orWrite"
  | "writeAtomic"
  | "synchronize"
  | "ready"
  | "inquire"
  | "illegal";

/** To be overridden. */
export const NO_COMMANDS: Readonly<Record<CommandKind, number>> = {
  read: 0,
  write: 0,
  writeSame: 0,
  unmap: 0,
  verify: 0,
  verifyData: 0,
  writeAndVerify: 0,
  compareAndWrite: 0,
  orWrite: 0,
  writeAtomic: 0,
  synchronize: 0,
  ready: 0,
  inquire: 0,
  illegal: 0,
};

/** What commands with a limit of their own move at most; also that of COMPARE AND WRITE, whose limit is the lowest. */
const ATOMIC_BYTES_MAX = 65536;

export interface Mix {
  readonly weights: Readonly<Record<CommandKind, number>>;
  /** Of reads and writes. */
  bytesMax: number;
  /** Blocks beyond this part of each unit are left alone: the smaller, the more overlap there is. */
  readonly unitPart: number;
}

export function randomMix(random: Random): Mix {
  return {
    weights: {
      read: random.between(1, 20),
      write: random.between(1, 20),
      writeSame: random.below(2),
      unmap: random.below(2),
      verify: random.below(2),
      verifyData: random.below(2),
      writeAndVerify: random.below(2),
      compareAndWrite: random.chance(0.2) ? random.between(1, 10) : 0,
      orWrite: random.chance(0.2) ? random.between(1, 5) : 0,
      writeAtomic: random.chance(0.2) ? random.between(1, 5) : 0,
      synchronize: random.below(2),
      ready: 1,
      inquire: 1,
      illegal: random.below(2),
    },
    bytesMax: random.spread(4096, 2 << 20),
    unitPart: random.pick([1, 1, 0.1, 0.01]),
  };
}

export function randomCommand(random: Random, mix: Mix, luns: ReadonlyMap<number, SimulatedUnit>): Command {
  const lun = random.pick([...luns.keys()]);
  const unit = luns.get(lun)!;
  switch (random.weighted(mix.weights)) {
    case "read": {
      const range = randomRange(random, unit, mix);
      return new ReadCommand(random, lun, range, expectedLength(random, range));
    }
    case "write": {
      const range = randomRange(random, unit, mix);
      return new WriteCommand(random, lun, range, expectedLength(random, range));
    }
    case "writeSame":
      return new WriteSameCommand(random, lun, randomRange(random, unit, mix));
    case "unmap":
      if (!unit.record.thin) return new TestUnitReadyCommand(lun);
      return new UnmapCommand(lun, randomRange(random, unit, mix));
    case "verify":
      return new VerifyCommand(random, lun, randomRange(random, unit, mix));
    case "verifyData":
      return new VerifyDataCommand(random, lun, randomRange(random, unit, mix));
    case "writeAndVerify":
      return new WriteAndVerifyCommand(random, lun, randomRange(random, unit, mix));
    case "compareAndWrite":
      return new CompareAndWriteCommand(random, lun, randomRange(random, unit, mix, ATOMIC_BYTES_MAX));
    case "orWrite":
      return new OrWriteCommand(random, lun, randomRange(random, unit, mix, ATOMIC_BYTES_MAX));
    case "writeAtomic":
      if (unit.record.atomicWrites === null) return new TestUnitReadyCommand(lun);
      return new WriteAtomicCommand(random, lun, wholeOf(randomRange(random, unit, mix, ATOMIC_BYTES_MAX)));
    case "synchronize":
      return new SynchronizeCacheCommand(lun, unit, random.pick([synchronizeCache10(), synchronizeCache16()]));
    case "ready":
      return new TestUnitReadyCommand(lun);
    case "inquire":
      return inquiringCommand(random, lun, unit);
    case "illegal":
      return illegalCommand(random, lun, unit);
  }
}

function randomRange(random: Random, unit: SimulatedUnit, mix: Mix, most = Number.POSITIVE_INFINITY): Range {
  const part = Math.max(1, Math.floor(unit.blocks * mix.unitPart));
  const bytesMax = Math.min(mix.bytesMax, unit.sizeBytes, most);
  const blocksMax = Math.max(1, Math.floor(bytesMax / unit.record.blockLengthBytes));
  const blocks = random.spread(1, blocksMax);
  return { unit, lba: random.below(Math.min(part, unit.blocks - blocks + 1)), blocks };
}

/** Mostly what the command moves; now and then less, or more. */
function expectedLength(random: Random, { unit, blocks }: Range): number {
  const bytes = blocks * unit.record.blockLengthBytes;
  if (random.chance(0.88)) return bytes;
  return random.chance(0.5) ? random.between(1, bytes) : bytes + random.spread(1, 100_000);
}

/** A power of two that is no shorter than the least that is written whole; it begins at a multiple of itself. */
function wholeOf({ unit, lba, blocks }: Range): Range {
  const { blockLengthBytes, atomicWrites } = unit.record;
  const length = Math.max(2 ** Math.floor(Math.log2(blocks)), atomicWrites!.bytesMin / blockLengthBytes);
  return { unit, lba: lba - (lba % length), blocks: length };
}

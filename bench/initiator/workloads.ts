/** What a load consists of: the measured load itself, and filling and checking an area for it. */
import type { Arena } from "../../dataplane/arena.js";
import {
  SCSI_STATUS_BUSY,
  SCSI_STATUS_CHECK_CONDITION,
  SCSI_STATUS_GOOD,
  SCSI_STATUS_TASK_SET_FULL,
} from "../../dataplane/wire/scsi-response.js";
import { type BlockStamps, describeStamp } from "./block-stamps.js";
import { InitiatorError, VerifyError } from "./errors.js";
import { OPERATION_CDB, OPERATION_READ, OPERATION_WRITE, type Task, type Workload } from "./task.js";
import type { Area, WriteHistory } from "./write-history.js";

const SENSE_KEY_UNIT_ATTENTION = 6;
const ASC_RESET_OCCURRED = 0x29;
const CDB_SYNCHRONIZE_CACHE_10 = 0x35;
/** Slots are drawn so often before a task goes without: all that were drawn were busy. */
const CLAIMS_MAX = 16;

/** Data of verified commands: stamped when written, checked when read. */
export class Verification {
  readonly history: WriteHistory;
  readonly #stamps: BlockStamps;

  constructor(history: WriteHistory, stamps: BlockStamps) {
    this.history = history;
    this.#stamps = stamps;
  }

  /** The task is going to write the slot, which it has claimed. */
  stamp(task: Task, slot: number): void {
    this.#stamps.stamp(task.data, task.lba, task.blocks, this.history.issue(slot));
  }

  /** The task has read the slot. @throws VerifyError */
  check(task: Task, slot: number, afterCrash: boolean): void {
    this.#stamps.check(task.data, task.lba, task.blocks);
    for (let block = 0; block < task.blocks; block++) {
      const found = this.#stamps.found[block]!;
      const expected = afterCrash ? this.history.judgeAfterCrash(slot, found) : this.history.judge(slot, found);
      if (expected !== undefined) {
        throw new VerifyError(`LBA ${task.lba + block}: ${describeStamp(found)}, expected ${expected}`);
      }
    }
  }
}

function placeTask(task: Task, area: Area, slot: number): void {
  task.lba = area.lba + slot * area.slotBlocks;
  task.blocks = area.slotBlocks;
  task.length = area.slotBlocks * area.blockLength;
  task.note = slot;
}

function assertGood(task: Task): void {
  if (task.status === SCSI_STATUS_GOOD) return;
  const sense = task.sense.toString(16).padStart(6, "0");
  throw new InitiatorError(`LBA ${task.lba}: status ${task.status.toString(16)}h, sense ${sense}h`);
}

/** One pass over the area in order. */
abstract class Pass implements Workload {
  finished = false;
  protected readonly area: Area;
  #slot = 0;

  constructor(area: Area) {
    this.area = area;
  }

  next(task: Task): boolean {
    if (this.finished) return false;
    placeTask(task, this.area, this.#slot++);
    this.finished = this.#slot === this.area.slots;
    task.fua = false;
    task.data = task.ownData;
    this.prepare(task);
    return true;
  }

  protected abstract prepare(task: Task): void;
  abstract done(task: Task): void;
}

/** Writes every slot once, stamped. */
export class FillWorkload extends Pass {
  readonly #verification: Verification;

  constructor(area: Area, verification: Verification) {
    super(area);
    this.#verification = verification;
  }

  protected override prepare(task: Task): void {
    task.operation = OPERATION_WRITE;
    this.#verification.stamp(task, task.note);
  }

  override done(task: Task): void {
    assertGood(task);
    this.#verification.history.acknowledge(task.note, false);
  }
}

/** Reads every slot once and checks it. */
export class CheckWorkload extends Pass {
  readonly #verification: Verification;
  readonly #afterCrash: boolean;

  constructor(area: Area, verification: Verification, afterCrash: boolean) {
    super(area);
    this.#verification = verification;
    this.#afterCrash = afterCrash;
  }

  protected override prepare(task: Task): void {
    task.operation = OPERATION_READ;
  }

  override done(task: Task): void {
    assertGood(task);
    this.#verification.check(task, task.note, this.#afterCrash);
  }
}

/** Keeps the sessions and answers pings for a while, without a command. */
export class IdleWorkload implements Workload {
  readonly #clock: { readonly nowUs: number };
  readonly #endUs: number;

  constructor(clock: { readonly nowUs: number }, durationUs: number) {
    this.#clock = clock;
    this.#endUs = clock.nowUs + durationUs;
  }

  get finished(): boolean {
    return this.#clock.nowUs >= this.#endUs;
  }

  next(): boolean {
    return false;
  }

  done(): void {}
}

export interface LoadShape {
  readonly area: Area;
  /** Of 100 commands so many read. */
  readonly readPercent: number;
  readonly sequential: boolean;
  readonly fua: boolean;
  /** A SYNCHRONIZE CACHE after so many acknowledged writes; 0: none. */
  readonly synchronizeEvery: number;
  readonly rampUs: number;
  readonly durationUs: number;
  /** Of the random numbers, not 0. */
  readonly seed: number;
}

/** Called at the edges of the measured time, and for each command that ends within it. */
export interface LoadMeter {
  begin(nowUs: number): void;
  record(latencyUs: number): void;
  end(nowUs: number): void;
}

const PHASE_RAMP = 0;
const PHASE_MEASURE = 1;
const PHASE_OVER = 2;

/** Random or sequential reads and writes of one size for a time. */
export class LoadWorkload implements Workload {
  finished = false;
  /** BUSY and TASK SET FULL answers, and unit attentions; their commands are not repeated. */
  refusals = 0;
  readonly #shape: LoadShape;
  readonly #meter: LoadMeter;
  readonly #verification: Verification | null;
  /** Arena offset of the data that unverified writes send. */
  readonly #writeData: number;
  #phase = PHASE_RAMP;
  #measureFromUs = -1;
  #endUs = 0;
  #random: number;
  #cursor = 0;
  #writesToSynchronize = 0;
  #synchronizing = false;

  constructor(shape: LoadShape, meter: LoadMeter, verification: Verification | null, writeData: number) {
    this.#shape = shape;
    this.#meter = meter;
    this.#verification = verification;
    this.#writeData = writeData;
    this.#random = shape.seed | 0;
  }

  next(task: Task, nowUs: number): boolean {
    this.#advance(nowUs);
    if (this.#phase === PHASE_OVER) return false;
    const shape = this.#shape;
    const verification = this.#verification;
    if (shape.synchronizeEvery > 0 && this.#writesToSynchronize >= shape.synchronizeEvery && !this.#synchronizing) {
      this.#synchronize(task);
      return true;
    }
    const slot = this.#pickSlot();
    if (slot < 0) return false;
    const reads = shape.readPercent === 100 || (shape.readPercent > 0 && this.#below(100) < shape.readPercent);
    placeTask(task, shape.area, slot);
    task.operation = reads ? OPERATION_READ : OPERATION_WRITE;
    task.fua = !reads && shape.fua;
    if (verification !== null) {
      task.data = task.ownData;
      if (!reads) verification.stamp(task, slot);
    } else {
      task.data = reads ? -1 : this.#writeData;
    }
    return true;
  }

  done(task: Task, nowUs: number): void {
    this.#advance(nowUs);
    const refused = isRefused(task);
    if (refused) this.refusals++;
    else assertGood(task);
    const history = this.#verification?.history;
    if (task.operation === OPERATION_CDB) {
      this.#synchronizing = false;
      if (!refused) history?.endSynchronize();
      return;
    }
    if (!refused) {
      if (task.operation === OPERATION_WRITE) {
        this.#writesToSynchronize++;
        history?.acknowledge(task.note, task.fua);
      } else {
        this.#verification?.check(task, task.note, false);
      }
      if (this.#phase === PHASE_MEASURE) this.#meter.record(nowUs - task.startUs);
    }
    history?.release(task.note);
  }

  #advance(nowUs: number): void {
    if (this.#phase === PHASE_MEASURE) {
      if (nowUs < this.#endUs) return;
      this.#meter.end(nowUs);
      this.#phase = PHASE_OVER;
      this.finished = true;
    } else if (this.#phase === PHASE_RAMP) {
      if (this.#measureFromUs < 0) this.#measureFromUs = nowUs + this.#shape.rampUs;
      if (nowUs < this.#measureFromUs) return;
      this.#meter.begin(nowUs);
      this.#endUs = nowUs + this.#shape.durationUs;
      this.#phase = PHASE_MEASURE;
    }
  }

  #synchronize(task: Task): void {
    this.#synchronizing = true;
    this.#writesToSynchronize = 0;
    this.#verification?.history.beginSynchronize();
    task.operation = OPERATION_CDB;
    task.cdb.fill(0);
    task.cdb[0] = CDB_SYNCHRONIZE_CACHE_10;
    task.length = 0;
    task.data = -1;
  }

  #pickSlot(): number {
    const { area, sequential } = this.#shape;
    const history = this.#verification?.history;
    for (let claim = 0; claim < CLAIMS_MAX; claim++) {
      let slot: number;
      if (sequential) {
        slot = this.#cursor;
        this.#cursor = slot + 1 === area.slots ? 0 : slot + 1;
      } else {
        slot = this.#below(area.slots);
      }
      if (history === undefined || history.claim(slot)) return slot;
    }
    return -1;
  }

  /** Uniform in 0 .. limit - 1 (xorshift32). */
  #below(limit: number): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return Math.floor(((x >>> 0) / 4294967296) * limit);
  }
}

/** Random bytes, so that nothing in between can profit from zeroes. Returns their arena offset. */
export function takeRandomData(arena: Arena, length: number, seed: number): number {
  const offset = arena.take(length, 4096);
  fillRandom(arena, offset, length, seed);
  return offset;
}

export function fillRandom(arena: Arena, offset: number, length: number, seed: number): void {
  let x = seed | 1;
  for (let at = offset; at < offset + length; at += 4) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    arena.view.setInt32(at, x);
  }
}

/** It was not executed, and the load goes on: the unit had too much to do, or something to tell. Of a reset it has more to tell. */
function isRefused({ status, sense }: Task): boolean {
  if (status === SCSI_STATUS_BUSY || status === SCSI_STATUS_TASK_SET_FULL) return true;
  const isAttention = status === SCSI_STATUS_CHECK_CONDITION && sense >>> 16 === SENSE_KEY_UNIT_ATTENTION;
  return isAttention && ((sense >>> 8) & 0xff) !== ASC_RESET_OCCURRED;
}

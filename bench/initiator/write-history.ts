/**
 * What was written where, as far as the initiator knows: by slots, the units of I/O. Generations are numbers of writes, counted up over the
 * whole run; 0: never written. For each slot always durable <= acknowledged <= issued.
 *
 *     while the target lives, a slot that is not being written holds exactly `acknowledged`;
 *     after it crashed, a slot holds one of durable .. issued: an acknowledged write may be lost unless a SYNCHRONIZE CACHE that
 *     was sent after its acknowledgement ended well, or the write had FUA.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { STAMP_FOREIGN, STAMP_NONE } from "./block-stamps.js";

export interface Area {
  /** Identifies the run in the stamps. */
  readonly seed: number;
  /** First block. */
  readonly lba: number;
  readonly slots: number;
  readonly slotBlocks: number;
  readonly blockLength: number;
}

export class WriteHistory {
  readonly area: Area;
  generation = 0;
  readonly #issued: Uint32Array;
  readonly #acknowledged: Uint32Array;
  readonly #durable: Uint32Array;
  /** Slots with a command in flight: the judgement would be ambiguous. */
  readonly #busy: Uint8Array;
  /** What was acknowledged when the SYNCHRONIZE CACHE in flight was sent. */
  readonly #synchronizing: Uint32Array;

  constructor(area: Area) {
    this.area = area;
    this.#issued = new Uint32Array(area.slots);
    this.#acknowledged = new Uint32Array(area.slots);
    this.#durable = new Uint32Array(area.slots);
    this.#busy = new Uint8Array(area.slots);
    this.#synchronizing = new Uint32Array(area.slots);
  }

  /** Takes the slot for one command; false: it has one already. */
  claim(slot: number): boolean {
    if (this.#busy[slot] === 1) return false;
    this.#busy[slot] = 1;
    return true;
  }

  release(slot: number): void {
    this.#busy[slot] = 0;
  }

  /** A write is being sent: returns its generation. */
  issue(slot: number): number {
    this.generation++;
    this.#issued[slot] = this.generation;
    return this.generation;
  }

  /** It was acknowledged; `durable`: it had FUA. */
  acknowledge(slot: number, durable: boolean): void {
    this.#acknowledged[slot] = this.#issued[slot]!;
    if (durable) this.#durable[slot] = this.#issued[slot]!;
  }

  /** A SYNCHRONIZE CACHE is being sent; one at a time. */
  beginSynchronize(): void {
    this.#synchronizing.set(this.#acknowledged);
  }

  endSynchronize(): void {
    // A write with FUA may have become durable in the meantime: never backwards.
    for (let slot = 0; slot < this.area.slots; slot++) {
      if (this.#synchronizing[slot]! > this.#durable[slot]!) this.#durable[slot] = this.#synchronizing[slot]!;
    }
  }

  /** Undefined: `found` (a generation or a STAMP_) is right for a block of this slot. Otherwise what was expected. */
  judge(slot: number, found: number): string | undefined {
    const expected = this.#acknowledged[slot]!;
    return expected === 0 || found === expected ? undefined : `generation ${expected}`;
  }

  /** As `judge`, of a target that crashed since. */
  judgeAfterCrash(slot: number, found: number): string | undefined {
    const least = this.#durable[slot]!;
    const most = this.#issued[slot]!;
    if (least === 0 && (found === STAMP_NONE || found === STAMP_FOREIGN || found === 0)) return undefined;
    return found >= least && found <= most ? undefined : `generation ${least} to ${most}`;
  }

  save(path: string): void {
    const head = Buffer.from(`${JSON.stringify({ ...this.area, generation: this.generation })}\n`);
    const arrays = [this.#issued, this.#acknowledged, this.#durable];
    writeFileSync(path, Buffer.concat([head, ...arrays.map((array) => Buffer.from(array.buffer))]));
  }

  /** @throws Error if the file is not one that `save` wrote */
  static load(path: string): WriteHistory {
    const file = readFileSync(path);
    const end = file.indexOf(0x0a);
    const { generation, ...area } = JSON.parse(file.toString("utf8", 0, end)) as Area & { generation: number };
    const history = new WriteHistory(area);
    history.generation = generation;
    const arrays = [history.#issued, history.#acknowledged, history.#durable];
    const bytes = area.slots * 4;
    if (file.length !== end + 1 + arrays.length * bytes)
      throw new Error(`${path}: ${file.length} bytes are not what its head says`);
    arrays.forEach((array, index) => {
      new Uint8Array(array.buffer).set(file.subarray(end + 1 + index * bytes, end + 1 + (index + 1) * bytes));
    });
    return history;
  }
}

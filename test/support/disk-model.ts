/**
 * What a unit must hold, and random commands that change and check it. Only some windows of the unit are looked at: its start,
 * its end, and around 2 GiB and 4 GiB, where offsets outgrow a signed and an unsigned 32-bit number.
 */
import assert from "node:assert/strict";
import { readSync } from "node:fs";
import { CDB_FUA, read16, synchronizeCache16, unmap, unmapList, write16, writeSame16 } from "./cdb.js";
import type { RawInitiator } from "./raw-initiator.js";
import type { CommandOptions } from "./raw-task.js";

const WINDOW_BYTES = 256 * 1024;
const TRANSFER_BYTES_MAX = 96 * 1024;
const WRITE_SAME_UNMAP = 0x08;
const WRITE_SAME_NDOB = 0x01;

interface Window {
  /** In the unit. */
  readonly offset: number;
  readonly content: Buffer;
}

interface Step {
  readonly command: CommandOptions;
  /** What a read must give. */
  readonly expected?: Buffer;
  readonly what: string;
}

export class DiskModel {
  readonly blockLength: number;
  readonly windows: Window[] = [];
  readonly #thin: boolean;
  #random: number;

  constructor(options: { sizeBytes: number; blockLength: number; thin: boolean; seed: number }) {
    this.blockLength = options.blockLength;
    this.#thin = options.thin;
    this.#random = options.seed | 1;
    for (const place of [0, 2 ** 31 - WINDOW_BYTES / 2, 2 ** 32 - WINDOW_BYTES / 2, options.sizeBytes - WINDOW_BYTES]) {
      const previous = this.windows.at(-1);
      const isApart = previous === undefined || place >= previous.offset + WINDOW_BYTES;
      if (isApart && place + WINDOW_BYTES <= options.sizeBytes) {
        this.windows.push({ offset: place, content: Buffer.alloc(WINDOW_BYTES) });
      }
    }
  }

  /** One command in every window, all at once. */
  async step(initiator: RawInitiator, lun: number): Promise<void> {
    const started = [];
    for (const window of this.windows) {
      const step = this.#next(window);
      started.push({ step, task: await initiator.start({ ...step.command, lun }) });
    }
    for (const { step, task } of started) {
      const { response, status, sense, data } = await initiator.finish(task);
      assert.deepEqual([response, status], [0, 0], `${step.what}: sense ${sense.toString("hex")}`);
      if (step.expected !== undefined) assertSame(data, step.expected, step.what);
    }
  }

  /** Everything is read back through the target. */
  async check(initiator: RawInitiator, lun: number): Promise<void> {
    for (const { offset, content } of this.windows) {
      const cdb = read16(offset / this.blockLength, WINDOW_BYTES / this.blockLength);
      assertSame(await initiator.good({ cdb, read: WINDOW_BYTES, lun }), content, `all at ${offset}`);
    }
  }

  /** Everything is read from the file or the device itself. */
  checkFile(fd: number): void {
    const found = Buffer.alloc(WINDOW_BYTES);
    for (const { offset, content } of this.windows) {
      readSync(fd, found, 0, WINDOW_BYTES, offset);
      assertSame(found, content, `the file at ${offset}`);
    }
  }

  #next(window: Window): Step {
    const { blockLength } = this;
    const blocks = 1 + this.#below(TRANSFER_BYTES_MAX / blockLength);
    const first = this.#below(WINDOW_BYTES / blockLength - blocks + 1);
    const lba = window.offset / blockLength + first;
    const range = window.content.subarray(first * blockLength, (first + blocks) * blockLength);
    const choice = this.#below(100);
    const where = `of ${blocks} blocks of ${blockLength} at ${lba}`;
    if (choice < 40)
      return {
        command: { cdb: read16(lba, blocks), read: range.length },
        expected: Buffer.from(range),
        what: `read ${where}`,
      };
    if (choice < 80) {
      this.#fill(range);
      const flags = this.#below(4) === 0 ? CDB_FUA : 0;
      return { command: { cdb: write16(lba, blocks, flags), write: Buffer.from(range) }, what: `write ${where}` };
    }
    if (choice < 85) return { command: { cdb: synchronizeCache16() }, what: "synchronize cache" };
    if (choice < 90 && this.#thin) {
      range.fill(0);
      const list = unmapList([{ lba, blocks }]);
      return { command: { cdb: unmap(list.length), write: list }, what: `unmap ${where}` };
    }
    if (choice < 95) {
      range.fill(0);
      const flags = this.#thin && this.#below(2) === 0 ? WRITE_SAME_UNMAP : 0;
      return {
        command: { cdb: writeSame16(lba, blocks, flags | WRITE_SAME_NDOB) },
        what: `write same, zeroes, ${where}`,
      };
    }
    const pattern = Buffer.alloc(blockLength);
    this.#fill(pattern);
    for (let at = 0; at < range.length; at += blockLength) pattern.copy(range, at);
    return { command: { cdb: writeSame16(lba, blocks), write: pattern }, what: `write same ${where}` };
  }

  #fill(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += 4) bytes.writeInt32LE(this.#nextRandom(), at);
  }

  #below(limit: number): number {
    return (this.#nextRandom() >>> 0) % limit;
  }

  /** xorshift32. */
  #nextRandom(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x;
  }
}

function assertSame(found: Buffer, expected: Buffer, what: string): void {
  if (found.equals(expected)) return;
  const at = found.findIndex((byte, index) => byte !== expected[index]);
  assert.fail(`${what}: ${found.length} of ${expected.length} bytes, the first wrong one is number ${at}`);
}

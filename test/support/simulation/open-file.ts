/** A descriptor of a disk's file: executes the storage operations, and notes those that it lets fail. */
import assert from "node:assert/strict";
import {
  errno,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  OP_FALLOCATE,
  OP_FSYNC,
  OP_READ,
  OP_READ_FIXED,
  OP_WRITE,
  OP_WRITE_FIXED,
  RWF_ATOMIC,
  RWF_DSYNC,
} from "io-uring-node";
import type { ArenaMemory } from "./arena-memory.js";
import { type Disk, SECTOR_BYTES } from "./disk.js";
import type { Operation } from "./operation.js";
import type { World } from "./world.js";

const SCRIBBLE = 0xdb;

export class OpenFile {
  readonly disk: Disk;
  readonly #world: World;
  readonly #memory: ArenaMemory;
  readonly #alignmentBytes: number;

  /** `alignmentBytes`: what O_DIRECT asks for; 1 without it. */
  constructor(world: World, memory: ArenaMemory, disk: Disk, alignmentBytes: number) {
    this.#world = world;
    this.#memory = memory;
    this.disk = disk;
    this.#alignmentBytes = alignmentBytes;
  }

  start(operation: Operation): void {
    const { offset, length, operationFlags } = operation;
    switch (operation.opcode) {
      case OP_READ:
      case OP_READ_FIXED:
        if (!this.#isAligned(operation)) return operation.end(-errno.EINVAL);
        return this.#later(operation, () => this.readNow(operation.address, length, offset));
      case OP_WRITE:
      case OP_WRITE_FIXED: {
        if (!this.#isAligned(operation)) return operation.end(-errno.EINVAL);
        const durable = (operationFlags & RWF_DSYNC) !== 0;
        const isAtomic = (operationFlags & RWF_ATOMIC) !== 0;
        if (isAtomic && !this.#mayBeAtomic(operation)) return operation.end(-errno.EINVAL);
        return this.#later(
          operation,
          () => this.#write(operation.address, length, offset, durable, isAtomic),
          (result) => this.disk.completed(offset, result),
        );
      }
      case OP_FSYNC: {
        const mark = this.disk.beginSync();
        return this.#later(operation, () => {
          if (this.#fails(this.#world.faults.mediumError)) return this.#failed(errno.EIO, 0, this.disk.sizeBytes, true);
          this.disk.sync(mark);
          return 0;
        });
      }
      case OP_FALLOCATE: {
        // The kernel takes the length from the address field, and the mode from the length field.
        const mode = length & ~FALLOC_FL_KEEP_SIZE;
        assert(mode === FALLOC_FL_PUNCH_HOLE || mode === FALLOC_FL_ZERO_RANGE, `fallocate mode ${length}`);
        assert((length & FALLOC_FL_KEEP_SIZE) !== 0, "a unit does not change its size");
        const bytes = operation.address;
        assert(bytes > 0 && offset + bytes <= this.disk.sizeBytes, "fallocate stays within the unit");
        return this.#later(
          operation,
          () => {
            if (this.#fails(this.#world.faults.noSpace)) return this.#failed(errno.ENOSPC, offset, bytes);
            this.disk.zero(offset, bytes);
            return 0;
          },
          () => this.disk.completed(offset, bytes),
        );
      }
      default:
        assert.fail(`opcode ${operation.opcode} on a file`);
    }
  }

  readNow(address: number, length: number, offset: number): number {
    const { random, faults } = this.#world;
    const target = this.#memory.bytes(address, length);
    if (this.#fails(faults.mediumError)) {
      target.fill(SCRIBBLE);
      return this.#failed(errno.EIO, offset, length);
    }
    const count = random.chance(faults.shortIo) ? this.#partOf(length) : length;
    return this.disk.read(target.subarray(0, count), offset);
  }

  writeNow(address: number, length: number, offset: number): number {
    return this.#write(address, length, offset, false, false);
  }

  #write(address: number, length: number, offset: number, durable: boolean, isAtomic: boolean): number {
    const { random, faults } = this.#world;
    if (this.#fails(faults.mediumError)) {
      return durable ? this.#failed(errno.EIO, 0, this.disk.sizeBytes, true) : this.#failed(errno.EIO, offset, length);
    }
    if (this.#fails(faults.noSpace)) return this.#failed(errno.ENOSPC, offset, length);
    const count = !isAtomic && random.chance(faults.shortIo) ? this.#partOf(length) : length;
    return this.disk.write(this.#memory.bytes(address, count), offset, durable);
  }

  /** Memory is read or written at some moment between submission and completion, and nobody knows which. */
  #later(operation: Operation, act: () => number, completed: (result: number) => void = () => {}): void {
    const { timeline, random, faults } = this.#world;
    const delayUs = random.below(faults.storageDelayUsMax + 1);
    const actUs = random.below(delayUs + 1);
    timeline.after(actUs, () => {
      if (operation.isDead) return;
      const result = act();
      timeline.after(delayUs - actUs, () => {
        if (operation.isDead) return;
        if (result >= 0) completed(result);
        operation.end(result);
      });
    });
  }

  #fails(probability: number): boolean {
    return this.#world.random.chance(probability);
  }

  #failed(error: number, offset: number, length: number, isSync = false): number {
    this.disk.failures.push({ error, offset, length, isSync });
    return -error;
  }

  /** Some of the sectors, but not none; a transfer of less than two comes whole. */
  #partOf(length: number): number {
    const sectors = Math.floor((length - 1) / SECTOR_BYTES);
    return sectors === 0 ? length : this.#world.random.between(1, sectors) * SECTOR_BYTES;
  }

  /** What Linux asks of RWF_ATOMIC. */
  #mayBeAtomic({ opcode, offset, length }: Operation): boolean {
    const isPowerOfTwo = (length & (length - 1)) === 0;
    return opcode === OP_WRITE && this.#alignmentBytes > 1 && isPowerOfTwo && offset % length === 0;
  }

  #isAligned({ address, offset, length }: Operation): boolean {
    const mask = this.#alignmentBytes - 1;
    return (((offset >>> 0) | (address >>> 0) | length) & mask) === 0;
  }
}

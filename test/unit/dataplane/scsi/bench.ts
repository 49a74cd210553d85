/**
 * A fake of what the task engine does for commands: one task, an arena with a guard around each buffer, a disk in memory.
 * Operations complete one after the other from a queue, never within the call that asked for them.
 */
import assert from "node:assert/strict";
import { initialState } from "../../../../control/units/unit-state.js";
import type { AtomicWrites, CacheMode, NotReady } from "../../../../dataplane/messages.js";
import type { Services } from "../../../../dataplane/scsi/command.js";
import { flushAfterControl } from "../../../../dataplane/scsi/control-command.js";
import { dispatch } from "../../../../dataplane/scsi/dispatch.js";
import {
  encodeSense,
  MISCOMPARE_DURING_VERIFY_OPERATION,
  SENSE_BYTES,
  SENSE_BYTES_MAX,
  storeError,
} from "../../../../dataplane/scsi/sense.js";
import { UnitAttentions } from "../../../../dataplane/scsi/unit-attention.js";
import { LunMapping } from "../../../../dataplane/session/lun-mapping.js";
import { NexusBuffers } from "../../../../dataplane/session/nexus-buffers.js";
import type { Session } from "../../../../dataplane/session/session.js";
import { allocateFailedFlushes, FailedFlushes } from "../../../../dataplane/storage/failed-flushes.js";
import type { Gate } from "../../../../dataplane/storage/gate.js";
import { LogicalUnit } from "../../../../dataplane/storage/logical-unit.js";
import type { Store } from "../../../../dataplane/storage/store.js";
import { Task } from "../../../../dataplane/task/task.js";
import {
  SCSI_STATUS_CONDITION_MET,
  SCSI_STATUS_GOOD,
  SCSI_STATUS_RESERVATION_CONFLICT,
} from "../../../../dataplane/wire/scsi-response.js";
import { unitRecord } from "../../../support/unit-record.js";

const CDB_OFFSET = 48;
const BUFFER_OFFSET = 4096;
const BUFFER_BYTES_MAX = 262144;
const GUARD_BYTES = 4096;
const ARENA_BYTES = BUFFER_OFFSET + BUFFER_BYTES_MAX + GUARD_BYTES;
const GUARD = 0xa5;
/** A larger unit has no more data than this. */
const DISK_BYTES_MAX = 4 * 1024 * 1024;
/** What the arena is full of, but for the CDB and the buffer in use. */
const GUARDED = Buffer.alloc(ARENA_BYTES, GUARD);

export const UUID = "0f6ef6a4-1c69-4d6f-9b0a-5b7b6f1f8c3e";
export const TARGET_NAME = "iqn.2026-11.io.ringlun:test";

export interface BenchOptions {
  /** What is asked of the unit's store costs no time. */
  readonly inMemory?: boolean;
  readonly blockLengthBytes?: 512 | 4096;
  readonly blocks?: number;
  readonly thin?: boolean;
  readonly removable?: boolean;
  readonly notReady?: NotReady;
  /** D_SENSE: sense goes out in descriptor format. */
  readonly descriptorSense?: boolean;
  readonly cache?: CacheMode;
  readonly atomicWrites?: AtomicWrites;
  readonly uuid?: string;
  readonly luns?: readonly number[];
  readonly targetPortalGroupTag?: number;
  readonly iSCSIProtocolLevel?: number;
}

export interface RunOptions {
  readonly dataOut?: Uint8Array;
  /** What the initiator expects to send; default: all of `dataOut`. */
  readonly expectedDataTransferLength?: number;
  readonly lun?: number;
  readonly readOnly?: boolean;
  /** Bits of COMMAND_CONFLICTS_* that a reservation keeps the nexus from. */
  readonly blocked?: number;
  /** Of the session's target port group. */
  readonly accessState?: number;
  /** The unit has limits; they let everything through. */
  readonly isLimited?: boolean;
  /** How many times a buffer is asked for in vain. */
  readonly buffersMissing?: number;
}

export interface Outcome {
  readonly status: "good" | "condition met" | "check" | "conflict";
  readonly data: Uint8Array;
  readonly sense: Sense | null;
}

export interface Sense {
  /** A deferred error: that of a command before. */
  readonly deferred: boolean;
  readonly key: number;
  readonly asc: number;
  readonly ascq: number;
  readonly information: number | null;
  readonly fieldPointer: string | null;
}

/** What was asked of the engine or of the store, in order: "read 16 8", "write 0 1 durable". */
export type Operation = string;

const STATUS_NAMES: ReadonlyMap<number, Outcome["status"]> = new Map([
  [SCSI_STATUS_GOOD, "good"],
  [SCSI_STATUS_CONDITION_MET, "condition met"],
  [SCSI_STATUS_RESERVATION_CONFLICT, "conflict"],
]);

export class Bench implements Services {
  readonly bytes = new Uint8Array(new SharedArrayBuffer(ARENA_BYTES));
  readonly view = new DataView(this.bytes.buffer);
  readonly unit: LogicalUnit;
  readonly attentions = new UnitAttentions();
  readonly disk: Uint8Array;
  operations: Operation[] = [];
  /** First word of an operation -> negative errno with which it fails. */
  readonly failures = new Map<string, number>();
  /** Called with every operation, when it has been asked for and has not completed. */
  onOperation: (operation: Operation) => void = () => {};
  /** Control answers that the unit is to be flushed. */
  controlFlushes: "no" | "before GOOD" | "in background" = "no";

  readonly #session: Session;
  #dataOut = new Uint8Array(0);
  #granted = 0;
  #buffersMissing = 0;
  #outcome: Outcome | null = null;
  #queue: (() => void)[] = [];
  #parked = false;

  constructor(options: BenchOptions = {}) {
    this.bytes.fill(GUARD);
    const blockLengthBytes = options.blockLengthBytes ?? 512;
    const blocks = options.blocks ?? 4096;
    const cache = options.cache ?? "writeback";
    this.disk = new Uint8Array(Math.min(blocks * blockLengthBytes, DISK_BYTES_MAX));
    this.unit = new LogicalUnit(
      unitRecord({
        atomicWrites: options.atomicWrites ?? null,
        blockLengthBytes,
        cache,
        removable: options.removable ?? false,
        thin: options.thin ?? true,
        inMemory: true,
        uuid: options.uuid ?? UUID,
        state: {
          ...initialState(blocks * blockLengthBytes, cache),
          notReady: options.notReady ?? null,
          descriptorSense: options.descriptorSense ?? false,
        },
      }),
      { inMemory: options.inMemory ?? false } as Store,
      {} as Gate,
      new FailedFlushes(allocateFailedFlushes(), 0),
      { lost: () => {}, heard: () => {} },
    );
    const luns = new Map((options.luns ?? [0]).map((lun) => [lun, { lun, unit: this.unit, readOnly: false }]));
    const session = {
      luns,
      attentions: this.attentions,
      buffers: new NexusBuffers(),
      targetName: TARGET_NAME,
      targetPortalGroupTag: options.targetPortalGroupTag ?? 1,
      parameters: { iSCSIProtocolLevel: options.iSCSIProtocolLevel ?? 1 },
    };
    this.#session = session as unknown as Session;
  }

  /** Runs one command to its end. */
  run(cdb: readonly number[], options: RunOptions = {}): Outcome {
    const task = new Task(0, CDB_OFFSET);
    this.bytes.set(cdb, CDB_OFFSET);
    task.session = this.#session;
    task.lun = options.lun ?? 0;
    task.unit = this.#session.luns.get(task.lun)?.unit ?? null;
    task.readOnly = options.readOnly ?? false;
    if (task.unit !== null) {
      task.mapping = new LunMapping(task.lun, task.unit, task.readOnly, options.blocked ?? 0, options.accessState);
      task.mapping.isLimited = options.isLimited ?? false;
    }
    this.#dataOut = (options.dataOut ?? new Uint8Array(0)) as Uint8Array<ArrayBuffer>;
    task.expectedDataTransferLength = options.expectedDataTransferLength ?? this.#dataOut.length;
    task.expectsDataOut = this.#dataOut.length > 0;
    this.#granted = 0;
    this.#buffersMissing = options.buffersMissing ?? 0;
    this.#outcome = null;
    this.operations = [];
    this.#parked = false;
    dispatch(task, this);
    while (this.#parked) {
      this.#parked = false;
      task.command!.begin(task, this);
    }
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
    assert.ok(this.#outcome !== null, "the command came to an end");
    this.bytes.fill(GUARD, CDB_OFFSET, CDB_OFFSET + cdb.length);
    this.bytes.fill(GUARD, BUFFER_OFFSET, BUFFER_OFFSET + this.#granted);
    assert.equal(GUARDED.compare(this.bytes), 0, "nothing is stored but in the buffer");
    return this.#outcome;
  }

  good(_task: Task): void {
    this.#end({ status: "good", data: new Uint8Array(0), sense: null });
  }

  reply(task: Task, length: number, allocationLength: number): void {
    assert.ok(length <= this.#granted, "no more is sent than the buffer holds");
    const end = task.parameterOffset + Math.min(length, allocationLength);
    this.#end({ status: "good", data: this.bytes.slice(task.parameterOffset, end), sense: null });
  }

  checkCondition(task: Task): void {
    this.#end({ status: "check", data: new Uint8Array(0), sense: decodeSense(task) });
  }

  status(_task: Task, status: number): void {
    const name = STATUS_NAMES.get(status);
    assert.ok(name !== undefined, "no command here ends with another status");
    this.#end({ status: name, data: new Uint8Array(0), sense: null });
  }

  parameterBuffer(task: Task, length: number): number {
    assert.ok(this.#outcome === null);
    assert.ok(length > 0 && length <= BUFFER_BYTES_MAX);
    if (this.#buffersMissing > 0) {
      this.#buffersMissing--;
      this.#parked = true;
      return -1;
    }
    assert.equal(this.#granted, 0, "one buffer a task");
    this.#grant(task, length);
    return task.parameterOffset;
  }

  readBlocks(task: Task, lba: number, blocks: number): void {
    this.#transfer(task, `read ${lba} ${blocks}`, lba, blocks, false, () => {
      this.#end({ status: "good", data: this.#range(lba, blocks).slice(), sense: null });
    });
  }

  writeBlocks(task: Task, lba: number, blocks: number, durable: boolean): void {
    this.#transfer(task, `write ${lba} ${blocks}${durable ? " durable" : ""}`, lba, blocks, true, () => {
      const medium = this.#range(lba, blocks);
      medium.set(this.#dataOut.subarray(0, medium.length));
    });
  }

  compareBlocks(task: Task, lba: number, blocks: number): void {
    this.#transfer(task, `compare ${lba} ${blocks}`, lba, blocks, false, () => {
      const medium = this.#range(lba, blocks);
      const at = medium.findIndex((byte, i) => byte !== this.#dataOut[i]);
      if (at < 0) return;
      Object.assign(task, MISCOMPARE_DURING_VERIFY_OPERATION, { senseInformation: at });
      this.checkCondition(task);
    });
  }

  writeAndCompareBlocks(task: Task, lba: number, blocks: number): void {
    this.#transfer(task, `writeAndCompare ${lba} ${blocks}`, lba, blocks, true, () => {
      const medium = this.#range(lba, blocks);
      medium.set(this.#dataOut.subarray(0, medium.length));
    });
  }

  verifyBlocks(task: Task, lba: number, blocks: number, status: number): void {
    this.#transfer(task, `verify ${lba} ${blocks}`, lba, blocks, false, () => this.status(task, status));
  }

  receiveParameters(task: Task, length: number): void {
    if (this.#granted === 0) this.#grant(task, length);
    assert.ok(length <= this.#granted, "what comes fits into the buffer");
    const received = Math.min(length, task.expectedDataTransferLength);
    this.#complete(task, "receive", () => {
      this.bytes.set(this.#dataOut.subarray(0, received), task.parameterOffset);
      return received;
    });
  }

  askControl(task: Task): void {
    this.#log("control");
    if (this.controlFlushes !== "no") flushAfterControl(task, this, this.controlFlushes === "in background");
    else this.good(task);
  }

  hold(_task: Task, bytes: number): boolean {
    this.#log(`hold ${bytes}`);
    return false;
  }

  own(task: Task): void {
    this.#log("own");
    this.#complete(task, "own", () => 0);
  }

  flush(task: Task): void {
    this.#log("flush");
    this.#complete(task, "flush", () => 0);
  }

  flushInBackground(_task: Task): void {
    this.#log("flush in background");
  }

  discard(task: Task, lba: number, blocks: number): void {
    assert.ok(this.unit.thin);
    this.#store(task, `discard ${lba} ${blocks}`, lba, blocks, () => this.#range(lba, blocks).fill(0));
  }

  zero(task: Task, lba: number, blocks: number, keepAllocated: boolean): void {
    this.#store(task, `zero ${lba} ${blocks}${keepAllocated ? " keep" : ""}`, lba, blocks, () =>
      this.#range(lba, blocks).fill(0),
    );
  }

  storeWrite(task: Task, bufferOffset: number, lba: number, blocks: number, durable: boolean): void {
    const from = task.parameterOffset + bufferOffset;
    const length = blocks * this.unit.blockLengthBytes;
    assert.ok(bufferOffset + length <= this.#granted);
    task.durable = durable;
    this.#store(task, `storeWrite ${lba} ${blocks}${durable ? " durable" : ""}`, lba, blocks, () => {
      const medium = this.#range(lba, blocks);
      medium.set(this.bytes.subarray(from, from + medium.length));
    });
  }

  storeWriteAtomic(task: Task, lba: number, blocks: number, durable: boolean): void {
    const length = blocks * this.unit.blockLengthBytes;
    assert.ok(length <= this.#granted);
    task.durable = durable;
    this.#store(task, `storeWriteAtomic ${lba} ${blocks}${durable ? " durable" : ""}`, lba, blocks, () =>
      this.#range(lba, blocks).set(this.bytes.subarray(task.parameterOffset, task.parameterOffset + length)),
    );
  }

  storeRead(task: Task, bufferOffset: number, lba: number, blocks: number): void {
    assert.ok(bufferOffset + blocks * this.unit.blockLengthBytes <= this.#granted);
    this.#store(task, `storeRead ${lba} ${blocks}`, lba, blocks, () =>
      this.bytes.set(this.#range(lba, blocks), task.parameterOffset + bufferOffset),
    );
  }

  #grant(task: Task, length: number): void {
    task.parameterOffset = BUFFER_OFFSET;
    this.#granted = length;
    this.bytes.fill(0, BUFFER_OFFSET, BUFFER_OFFSET + length);
  }

  #range(lba: number, blocks: number): Uint8Array {
    const start = lba * this.unit.blockLengthBytes;
    return this.disk.subarray(start, start + blocks * this.unit.blockLengthBytes);
  }

  #log(operation: string): void {
    assert.ok(this.#outcome === null, `${operation} after the end`);
    this.operations.push(operation);
    this.onOperation(operation);
  }

  #end(outcome: Outcome): void {
    assert.ok(this.#outcome === null, "a command ends once");
    this.#outcome = outcome;
  }

  #transfer(task: Task, operation: string, lba: number, blocks: number, writes: boolean, move: () => void): void {
    this.#log(operation);
    assert.ok(blocks > 0 && lba + blocks <= this.unit.blocks, "what is moved is there");
    this.#queue.push(() => {
      const errno = this.failures.get(operation.split(" ")[0]!) ?? 0;
      if (errno === 0) move();
      if (this.#outcome !== null) return;
      if (errno < 0) storeError(task, this, errno, writes);
      else this.good(task);
    });
  }

  #store(task: Task, operation: string, lba: number, blocks: number, act: () => void): void {
    this.#log(operation);
    assert.ok(blocks > 0 && lba + blocks <= this.unit.blocks, "what is changed is there");
    this.#complete(task, operation.split(" ")[0]!, () => {
      act();
      return 0;
    });
  }

  #complete(task: Task, kind: string, act: () => number): void {
    this.#queue.push(() => {
      const result = this.failures.get(kind) ?? act();
      do {
        this.#parked = false;
        task.command!.resume!(task, this, result);
      } while (this.#parked);
    });
  }
}

/** Through the wire form, so that it is tested with every refusal. */
export function decodeSense(task: Task): Sense {
  const bytes = new Uint8Array(8 + SENSE_BYTES_MAX + 1).fill(GUARD);
  const view = new DataView(bytes.buffer);
  const length = encodeSense(bytes, view, 8, task);
  assert.equal(bytes[8 + SENSE_BYTES_MAX], GUARD);
  if (task.unit?.descriptorSense === true) return decodeDescriptorSense(bytes.subarray(8, 8 + length));
  assert.equal(length, SENSE_BYTES);
  assert.equal(bytes[8]! & 0x7e, 0x70);
  assert.equal(bytes[15], 10);
  assert.equal(bytes[8 + SENSE_BYTES], GUARD);
  const specific = view.getUint32(22) & 0xff_ffff;
  return {
    deferred: (bytes[8]! & 0x01) !== 0,
    key: bytes[10]!,
    asc: bytes[20]!,
    ascq: bytes[21]!,
    information: (bytes[8]! & 0x80) !== 0 ? view.getUint32(11) : null,
    fieldPointer: describeFieldPointer(specific),
  };
}

function decodeDescriptorSense(sense: Uint8Array): Sense {
  const view = new DataView(sense.buffer, sense.byteOffset, sense.byteLength);
  assert.equal(sense[0]! & 0x7e, 0x72);
  assert.equal(sense[7], sense.length - 8);
  let information: number | null = null;
  let fieldPointer: string | null = null;
  let at = 8;
  for (; at < sense.length; at += 2 + sense[at + 1]!) {
    if (sense[at] === 0x00) information = Number(view.getBigUint64(at + 4));
    else if (sense[at] === 0x02) fieldPointer = describeFieldPointer(view.getUint32(at + 3) & 0xff_ffff);
    else assert.fail(`sense data descriptor ${sense[at]}`);
  }
  assert.equal(at, sense.length, "the descriptors fill what was announced");
  const deferred = (sense[0]! & 1) !== 0;
  return { key: sense[1]!, asc: sense[2]!, ascq: sense[3]!, information, fieldPointer, deferred };
}

/** "cdb 1.7", "list 2". */
function describeFieldPointer(specific: number): string | null {
  if (specific >>> 23 === 0) return null;
  const place = (specific & 0x40_0000) !== 0 ? "cdb" : "list";
  const bit = (specific & 0x08_0000) !== 0 ? `.${(specific >>> 16) & 7}` : "";
  return `${place} ${specific & 0xffff}${bit}`;
}

export function assertSense(outcome: Outcome, key: number, asc: number, ascq: number): Sense {
  assert.equal(outcome.status, "check");
  const sense = outcome.sense!;
  assert.deepEqual([sense.key, sense.asc, sense.ascq], [key, asc, ascq]);
  return sense;
}

export function assertInvalidFieldInCdb(outcome: Outcome, fieldPointer: string): void {
  assert.equal(assertSense(outcome, 5, 0x24, 0).fieldPointer, `cdb ${fieldPointer}`);
}

export function assertOutOfRange(outcome: Outcome, information: number | null): void {
  assert.equal(assertSense(outcome, 5, 0x21, 0).information, information);
}

export function u16(value: number): number[] {
  return [(value >>> 8) & 0xff, value & 0xff];
}

export function u32(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff];
}

export function u64(value: number | bigint): number[] {
  const big = BigInt(value);
  return [...u32(Number(big >> 32n)), ...u32(Number(big & 0xffff_ffffn))];
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Bytes of hexadecimal text; spaces do not count. */
export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
}

/** Data that is different at every block and nowhere zero. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = ((i * 7 + (i >>> 9) * 13 + seed * 31) % 255) + 1;
  return bytes;
}

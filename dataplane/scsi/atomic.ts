/**
 * COMPARE AND WRITE, ORWRITE and WRITE ATOMIC (SBC-4): commands that own their unit while they run, so that no other write, on
 * any shard, comes in between. Their data is received first, and the unit is owned for the shortest time.
 */
import type { Task } from "../task/task.js";
import { atomicLimits, compareAndWriteBlocksMax, ORWRITE_BYTES_MAX } from "./block-limits.js";
import { endOrFlush, firstDifference, resumeFlush } from "./blocks.js";
import type { Services } from "./command.js";
import { takeRange } from "./range.js";
import {
  endWithInformation,
  endWithSense,
  INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT,
  invalidFieldInCdb,
  MISCOMPARE_DURING_VERIFY_OPERATION,
  storeError,
} from "./sense.js";
import { getUint64 } from "./uint64.js";

const FLAGS_BYTE = 1;
const FLAG_FUA = 0x08;
const LBA_BYTE = 2;
const COMPARE_AND_WRITE_BLOCKS_BYTE = 13;
const ORWRITE_LENGTH_BYTE = 10;
const ATOMIC_BOUNDARY_BYTE = 10;
const ATOMIC_LENGTH_BYTE = 12;

/** The data is being received. */
const STEP_RECEIVE = 0;
/** The unit is being waited for. */
const STEP_OWN = 1;
const STEP_READ = 2;
const STEP_WRITE = 3;
const STEP_FLUSH = 4;

function isDurable(task: Task, services: Services): boolean {
  return (services.bytes[task.cdb + FLAGS_BYTE]! & FLAG_FUA) !== 0 || !task.unit!.writeCacheEnabled;
}

function rangeBytes(task: Task): number {
  return task.blocks * task.unit!.blockLengthBytes;
}

/** Receives `received` times the range's length into a buffer of `buffered` times that. */
function receive(task: Task, services: Services, received: number, buffered: number): void {
  const length = rangeBytes(task);
  if (services.parameterBuffer(task, buffered * length) < 0) return;
  services.receiveParameters(task, received * length);
}

/** False: less than all of the data came, and the command is ended. */
function isComplete(task: Task, services: Services, result: number, expected: number): boolean {
  if (result === expected) return true;
  endWithSense(task, services, INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT);
  return false;
}

function own(task: Task, services: Services): void {
  task.step = STEP_OWN;
  services.own(task);
}

function write(task: Task, services: Services, bufferOffset: number): void {
  task.step = STEP_WRITE;
  services.storeWrite(task, bufferOffset, task.lba, task.blocks, isDurable(task, services));
}

function written(task: Task, services: Services): void {
  task.step = STEP_FLUSH;
  endOrFlush(task, services);
}

// -- COMPARE AND WRITE: the buffer holds what is compared, what is written, and what the medium has

export function beginCompareAndWrite(task: Task, services: Services): void {
  const { bytes, view } = services;
  const blocks = bytes[task.cdb + COMPARE_AND_WRITE_BLOCKS_BYTE]!;
  if (!takeRange(task, services, getUint64(view, task.cdb + 2), blocks)) return;
  const length = 2 * rangeBytes(task);
  if (blocks > compareAndWriteBlocksMax(task.unit!)) invalidFieldInCdb(task, services, COMPARE_AND_WRITE_BLOCKS_BYTE);
  // More blocks than the field can tell.
  else if (blocks === 0 && task.expectedDataTransferLength > 0) {
    invalidFieldInCdb(task, services, COMPARE_AND_WRITE_BLOCKS_BYTE);
  } else if (task.expectedDataTransferLength !== length) {
    endWithSense(task, services, INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT);
  } else if (blocks === 0) services.good(task);
  else receive(task, services, 2, 3);
}

export function resumeCompareAndWrite(task: Task, services: Services, result: number): void {
  const length = rangeBytes(task);
  if (result < 0) {
    storeError(task, services, result, task.step >= STEP_WRITE);
    return;
  }
  switch (task.step) {
    case STEP_RECEIVE:
      if (isComplete(task, services, result, 2 * length)) own(task, services);
      return;
    case STEP_OWN:
      task.step = STEP_READ;
      services.storeRead(task, 2 * length, task.lba, task.blocks);
      return;
    case STEP_READ: {
      const buffer = task.parameterOffset;
      const at = firstDifference(services.bytes, buffer, buffer + 2 * length, length);
      if (at >= 0) endWithInformation(task, services, MISCOMPARE_DURING_VERIFY_OPERATION, at);
      else write(task, services, length);
      return;
    }
    case STEP_WRITE:
      written(task, services);
      return;
    default:
      resumeFlush(task, services, result);
  }
}

// -- ORWRITE (16): the buffer holds what came, and behind it what the medium has

export function beginOrWrite(task: Task, services: Services): void {
  const { view } = services;
  const blocks = view.getUint32(task.cdb + ORWRITE_LENGTH_BYTE);
  if (!takeRange(task, services, getUint64(view, task.cdb + 2), blocks)) return;
  if (blocks * task.unit!.blockLengthBytes > ORWRITE_BYTES_MAX) invalidFieldInCdb(task, services, ORWRITE_LENGTH_BYTE);
  else if (blocks === 0) services.good(task);
  else receive(task, services, 1, 2);
}

export function resumeOrWrite(task: Task, services: Services, result: number): void {
  const length = rangeBytes(task);
  if (result < 0) {
    storeError(task, services, result, task.step >= STEP_WRITE);
    return;
  }
  switch (task.step) {
    case STEP_RECEIVE:
      if (isComplete(task, services, result, length)) own(task, services);
      return;
    case STEP_OWN:
      task.step = STEP_READ;
      services.storeRead(task, length, task.lba, task.blocks);
      return;
    case STEP_READ: {
      const { bytes } = services;
      const buffer = task.parameterOffset;
      for (let at = buffer; at < buffer + length; at++) bytes[at]! |= bytes[at + length]!;
      write(task, services, 0);
      return;
    }
    case STEP_WRITE:
      written(task, services);
      return;
    default:
      resumeFlush(task, services, result);
  }
}

// -- WRITE ATOMIC (16): where the store does not tear it, one operation with nothing beside it; else control's (units/atomic-writes.ts)

export function beginWriteAtomic(task: Task, services: Services): void {
  const { view } = services;
  const unit = task.unit!;
  const lba = getUint64(view, task.cdb + LBA_BYTE);
  const blocks = view.getUint16(task.cdb + ATOMIC_LENGTH_BYTE);
  if (!takeRange(task, services, lba, blocks)) return;
  const { granularity, blocksMax } = atomicLimits(unit);
  // VPD B0 has no boundary (MAXIMUM ATOMIC BOUNDARY SIZE 0).
  if (view.getUint16(task.cdb + ATOMIC_BOUNDARY_BYTE) !== 0) invalidFieldInCdb(task, services, ATOMIC_BOUNDARY_BYTE);
  else if (blocks === 0) services.good(task);
  else if (blocks % granularity !== 0 || blocks > blocksMax) invalidFieldInCdb(task, services, ATOMIC_LENGTH_BYTE);
  else if (lba % granularity !== 0) invalidFieldInCdb(task, services, LBA_BYTE);
  else receive(task, services, 1, 1);
}

export function resumeWriteAtomic(task: Task, services: Services, result: number): void {
  if (result < 0) {
    storeError(task, services, result, true);
    return;
  }
  switch (task.step) {
    case STEP_RECEIVE:
      if (!isComplete(task, services, result, rangeBytes(task))) return;
      if (isWrittenWhole(task)) own(task, services);
      else services.askControl(task);
      return;
    case STEP_OWN:
      task.step = STEP_WRITE;
      services.storeWriteAtomic(task, task.lba, task.blocks, isDurable(task, services));
      return;
    case STEP_WRITE:
      written(task, services);
      return;
    default:
      resumeFlush(task, services, result);
  }
}

/** By the store: lengths that are powers of two, and begin at multiples of themselves, as Linux asks. */
function isWrittenWhole(task: Task): boolean {
  const { atomicWrites } = task.unit!;
  if (atomicWrites === null) return false;
  const bytes = rangeBytes(task);
  const isPower = (bytes & (bytes - 1)) === 0;
  return isPower && bytes >= atomicWrites.bytesMin && bytes <= atomicWrites.bytesMax && task.lba % task.blocks === 0;
}

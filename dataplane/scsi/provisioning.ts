/** UNMAP, WRITE SAME and, as far as a shard has to do with it, GET LBA STATUS (SBC-4). */
import type { Task } from "../task/task.js";
import { PATTERN_BYTES_MAX, UNMAP_DESCRIPTORS_MAX, WRITE_SAME_BYTES_MAX } from "./block-limits.js";
import { endOrFlush, resumeFlush } from "./blocks.js";
import type { Services } from "./command.js";
import { firstBeyond, takeRange } from "./range.js";
import {
  endWithSense,
  INVALID_COMMAND_OPERATION_CODE,
  INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT,
  invalidFieldInCdb,
  invalidFieldInParameterList,
  lbaOutOfRange,
  PARAMETER_LIST_LENGTH_ERROR,
  storeError,
} from "./sense.js";
import { getUint64 } from "./uint64.js";

/** The store cannot do it this way (Linux, all architectures). */
const EOPNOTSUPP = -95;

// -- GET LBA STATUS

const STARTING_LBA = 2;

/** Where blocks are and where holes, control finds out: a look at the file may have to wait for its metadata. */
export function beginGetLbaStatus(task: Task, services: Services): void {
  if (takeRange(task, services, getUint64(services.view, task.cdb + STARTING_LBA), 1)) services.askControl(task);
}

// -- UNMAP

/*
 *   parameter list:   0-1 UNMAP DATA LENGTH (of all that follows it)    2-3 UNMAP BLOCK DESCRIPTOR DATA LENGTH    4-7 reserved
 *                     8-  descriptors:   0-7 LBA    8-11 NUMBER OF LOGICAL BLOCKS    12-15 reserved
 */
const UNMAP_LIST_LENGTH_BYTE = 7;
const UNMAP_DATA_LENGTH_FIELD_BYTES = 2;
const DESCRIPTOR_DATA_LENGTH_OFFSET = 2;
const UNMAP_HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
const DESCRIPTOR_BLOCKS_OFFSET = 8;

export function beginUnmap(task: Task, services: Services): void {
  if (!task.unit!.thin) {
    endWithSense(task, services, INVALID_COMMAND_OPERATION_CODE);
    return;
  }
  const length = services.view.getUint16(task.cdb + UNMAP_LIST_LENGTH_BYTE);
  if (length === 0) services.good(task);
  else if (length < UNMAP_HEADER_BYTES) endWithSense(task, services, PARAMETER_LIST_LENGTH_ERROR);
  else services.receiveParameters(task, length);
}

/** Step 0: the list is here. Step n: descriptor n - 1 is done. Beyond the last of them: the flush is. */
export function resumeUnmap(task: Task, services: Services, result: number): void {
  if (result < 0) {
    storeError(task, services, result);
    return;
  }
  if (task.step === 0 && !unmapListIsValid(task, services, result)) return;
  if (task.step > descriptorCount(task, services)) services.good(task);
  else discardNext(task, services);
}

/** The list stays in the buffer, so that nothing has to be remembered beside the step. A last, incomplete descriptor is ignored. */
function descriptorCount(task: Task, services: Services): number {
  const length = services.view.getUint16(task.parameterOffset + DESCRIPTOR_DATA_LENGTH_OFFSET);
  return Math.floor(length / DESCRIPTOR_BYTES);
}

/** Judges the whole list before any of it is done. If it is not valid, the command is ended. */
function unmapListIsValid(task: Task, services: Services, received: number): boolean {
  const { view } = services;
  const list = task.parameterOffset;
  const asked = view.getUint16(task.cdb + UNMAP_LIST_LENGTH_BYTE);
  if (received < asked) {
    endWithSense(task, services, PARAMETER_LIST_LENGTH_ERROR);
    return false;
  }
  const descriptorsLength = view.getUint16(list + DESCRIPTOR_DATA_LENGTH_OFFSET);
  if (UNMAP_HEADER_BYTES + descriptorsLength > received) {
    endWithSense(task, services, PARAMETER_LIST_LENGTH_ERROR);
    return false;
  }
  if (view.getUint16(list) + UNMAP_DATA_LENGTH_FIELD_BYTES < UNMAP_HEADER_BYTES + descriptorsLength) {
    invalidFieldInParameterList(task, services, 0);
    return false;
  }
  const count = descriptorCount(task, services);
  if (count > UNMAP_DESCRIPTORS_MAX) {
    invalidFieldInParameterList(task, services, DESCRIPTOR_DATA_LENGTH_OFFSET);
    return false;
  }
  const capacity = task.unit!.blocks;
  for (let i = 0; i < count; i++) {
    const descriptor = list + UNMAP_HEADER_BYTES + i * DESCRIPTOR_BYTES;
    const lba = getUint64(view, descriptor);
    if (lba + view.getUint32(descriptor + DESCRIPTOR_BLOCKS_OFFSET) <= capacity) continue;
    lbaOutOfRange(task, services, firstBeyond(lba, capacity));
    return false;
  }
  return true;
}

function discardNext(task: Task, services: Services): void {
  const { view } = services;
  const count = descriptorCount(task, services);
  while (task.step < count) {
    const descriptor = task.parameterOffset + UNMAP_HEADER_BYTES + task.step * DESCRIPTOR_BYTES;
    task.step++;
    const blocks = view.getUint32(descriptor + DESCRIPTOR_BLOCKS_OFFSET);
    if (blocks === 0) continue;
    task.lba = getUint64(view, descriptor);
    task.blocks = blocks;
    services.discard(task, task.lba, blocks);
    return;
  }
  task.step = count + 1;
  endOrFlush(task, services);
}

// -- WRITE SAME

const FLAGS_BYTE = 1;
const FLAG_UNMAP = 0x08;
const FLAG_UNMAP_BIT = 3;
/** WRITE SAME (16) only. */
const FLAG_NDOB = 0x01;
const OPCODE_WRITE_SAME_10 = 0x41;
const WRITE_SAME_LENGTH_BYTE_10 = 7;
const WRITE_SAME_LENGTH_BYTE_16 = 10;

/** The block is being received. */
const STEP_RECEIVE = 0;
/** The whole range is being zeroed or discarded by the store. */
const STEP_ZERO = 1;
/** The buffer, full of the pattern, is being written again and again. */
const STEP_PATTERN = 2;
const STEP_FLUSH = 3;

export function beginWriteSame10(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  writeSame(task, services, view.getUint32(cdb + 2), view.getUint16(cdb + WRITE_SAME_LENGTH_BYTE_10), false);
}

export function beginWriteSame16(task: Task, services: Services): void {
  const { bytes, view } = services;
  const { cdb } = task;
  const noData = (bytes[cdb + FLAGS_BYTE]! & FLAG_NDOB) !== 0;
  writeSame(task, services, getUint64(view, cdb + 2), view.getUint32(cdb + WRITE_SAME_LENGTH_BYTE_16), noData);
}

function writeSame(task: Task, services: Services, lba: number, length: number, noData: boolean): void {
  const unit = task.unit!;
  if (!takeRange(task, services, lba, length)) return;
  // WSNZ=0 in VPD B0: a length of 0 is all blocks up to the end.
  const blocks = length === 0 ? unit.blocks - lba : length;
  if (blocks > WRITE_SAME_BYTES_MAX / unit.blockLengthBytes) {
    const is16 = (services.bytes[task.cdb]! & 0x80) !== 0;
    invalidFieldInCdb(task, services, is16 ? WRITE_SAME_LENGTH_BYTE_16 : WRITE_SAME_LENGTH_BYTE_10);
    return;
  }
  if (wantsUnmap(task, services) && !unit.thin) {
    invalidFieldInCdb(task, services, FLAGS_BYTE, FLAG_UNMAP_BIT);
    return;
  }
  if (!noData && task.expectedDataTransferLength !== unit.blockLengthBytes) {
    endWithSense(task, services, INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT);
    return;
  }
  if (blocks === 0) {
    services.good(task);
    return;
  }
  task.blocks = blocks;
  if (noData) {
    writeZeroes(task, services);
    return;
  }
  if (services.parameterBuffer(task, patternBytes(task)) < 0) return;
  services.receiveParameters(task, unit.blockLengthBytes);
}

function wantsUnmap(task: Task, services: Services): boolean {
  return (services.bytes[task.cdb + FLAGS_BYTE]! & FLAG_UNMAP) !== 0;
}

/**
 * UNMAP=1 with other data than unmapped blocks read back as is a plain write where LBPRZ=1: so it is with WRITE SAME (16), as
 * SBC-4 has it. Hosts that unmap with WRITE SAME (10) were written for targets that do not look at the data (LIO, tgt and
 * FreeBSD's CTL don't), as is libiscsi's test suite, and the blocks are theirs to give up: there UNMAP=1 always deallocates.
 */
function unmapsWhateverCame(task: Task, services: Services): boolean {
  return wantsUnmap(task, services) && services.bytes[task.cdb] === OPCODE_WRITE_SAME_10;
}

function patternBytes(task: Task): number {
  return Math.min(task.blocks * task.unit!.blockLengthBytes, PATTERN_BYTES_MAX);
}

/** Zeroes need no payload. On a thin unit they may be holes (LBPRZ=1) although UNMAP=0: it promises no space anyway. */
function writeZeroes(task: Task, services: Services): void {
  task.step = STEP_ZERO;
  if (wantsUnmap(task, services)) services.discard(task, task.lba, task.blocks);
  else services.zero(task, task.lba, task.blocks, !task.unit!.thin);
}

export function resumeWriteSame(task: Task, services: Services, result: number): void {
  const { blockLengthBytes, blockShift, writeCacheEnabled } = task.unit!;
  if (result < 0 && !(task.step === STEP_ZERO && result === EOPNOTSUPP)) {
    storeError(task, services, result);
    return;
  }
  switch (task.step) {
    case STEP_RECEIVE:
      if (result < blockLengthBytes) {
        endWithSense(task, services, INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT);
        return;
      }
      if (unmapsWhateverCame(task, services) || isZero(services.bytes, task.parameterOffset, blockLengthBytes)) {
        writeZeroes(task, services);
        return;
      }
      repeat(services.bytes, task.parameterOffset, blockLengthBytes, patternBytes(task));
      task.step = STEP_PATTERN;
      break;
    case STEP_ZERO:
      if (result >= 0) {
        task.step = STEP_FLUSH;
        endOrFlush(task, services);
        return;
      }
      // Written instead: what came, or zeroes, of which a new buffer is full.
      if (task.parameterOffset >= 0) {
        repeat(services.bytes, task.parameterOffset, blockLengthBytes, patternBytes(task));
      } else if (services.parameterBuffer(task, patternBytes(task)) < 0) {
        return;
      }
      task.step = STEP_PATTERN;
      break;
    case STEP_PATTERN: {
      const written = patternBytes(task) >>> blockShift;
      task.lba += written;
      task.blocks -= written;
      if (task.blocks === 0) {
        task.step = STEP_FLUSH;
        endOrFlush(task, services);
        return;
      }
      // As all of it so far: if the write cache is switched off meanwhile, one flush at the end makes up for it.
      services.storeWrite(task, 0, task.lba, patternBytes(task) >>> blockShift, task.durable);
      return;
    }
    default:
      resumeFlush(task, services, result);
      return;
  }
  services.storeWrite(task, 0, task.lba, patternBytes(task) >>> blockShift, !writeCacheEnabled);
}

function isZero(bytes: Uint8Array, offset: number, length: number): boolean {
  for (let i = offset; i < offset + length; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Fills [offset, offset + total) with what stands in its first `length` bytes. `total` is a multiple of `length`. */
function repeat(bytes: Uint8Array, offset: number, length: number, total: number): void {
  for (let filled = length; filled < total; filled *= 2) {
    bytes.copyWithin(offset + filled, offset, offset + Math.min(filled, total - filled));
  }
}

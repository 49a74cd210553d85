/** READ, WRITE, VERIFY, WRITE AND VERIFY, PRE-FETCH and SYNCHRONIZE CACHE (SBC-4). */
import type { Task } from "../task/task.js";
import { SCSI_STATUS_CONDITION_MET, SCSI_STATUS_GOOD } from "../wire/scsi-response.js";
import { ALLOCATION_BYTES, TRANSFER_BYTES_MAX } from "./block-limits.js";
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

/** Byte 1 of all but the 6-byte CDBs. */
const FLAGS_BYTE = 1;
const FLAG_FUA = 0x08;
const FLAG_IMMED = 0x02;
const BYTCHK_MASK = 0x06;
const BYTCHK_SHIFT = 1;
const BYTCHK_BIT = 2;

/** The medium is read, nothing is compared and nothing sent. */
const BYTCHK_MEDIUM = 0;
/** As many blocks as are verified come with the command. */
const BYTCHK_DATA = 1;
/** One block comes with the command, and each block of the range is compared with it. */
const BYTCHK_ONE_BLOCK = 3;

// Where the length stands in a CDB: what a field pointer names.
const LENGTH_BYTE_6 = 4;
const LENGTH_BYTE_10 = 7;
const LENGTH_BYTE_12 = 6;
const LENGTH_BYTE_16 = 10;

/** A TRANSFER LENGTH of 0 means 256 in 6-byte CDBs, and no blocks in all others. */
const BLOCKS_OF_ZERO_6 = 256;
const LBA_MASK_6 = 0x1f_ffff;

function blocks6(services: Services, cdb: number): number {
  return services.bytes[cdb + LENGTH_BYTE_6]! || BLOCKS_OF_ZERO_6;
}

// -- READ

export function beginRead6(task: Task, services: Services): void {
  const { view } = services;
  read(task, services, view.getUint32(task.cdb) & LBA_MASK_6, blocks6(services, task.cdb), LENGTH_BYTE_6);
}

export function beginRead10(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  read(task, services, view.getUint32(cdb + 2), view.getUint16(cdb + LENGTH_BYTE_10), LENGTH_BYTE_10);
}

export function beginRead12(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  read(task, services, view.getUint32(cdb + 2), view.getUint32(cdb + LENGTH_BYTE_12), LENGTH_BYTE_12);
}

export function beginRead16(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  read(task, services, getUint64(view, cdb + 2), view.getUint32(cdb + LENGTH_BYTE_16), LENGTH_BYTE_16);
}

/** DPO and FUA ask for nothing more: what is read is what was written last, wherever it is kept. */
function read(task: Task, services: Services, lba: number, blocks: number, lengthByte: number): void {
  if (!takeTransfer(task, services, lba, blocks, lengthByte)) return;
  services.readBlocks(task, lba, blocks);
}

// -- WRITE

export function beginWrite6(task: Task, services: Services): void {
  const lba = services.view.getUint32(task.cdb) & LBA_MASK_6;
  write(task, services, lba, blocks6(services, task.cdb), LENGTH_BYTE_6, false);
}

export function beginWrite10(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  const fua = (services.bytes[cdb + FLAGS_BYTE]! & FLAG_FUA) !== 0;
  write(task, services, view.getUint32(cdb + 2), view.getUint16(cdb + LENGTH_BYTE_10), LENGTH_BYTE_10, fua);
}

export function beginWrite12(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  const fua = (services.bytes[cdb + FLAGS_BYTE]! & FLAG_FUA) !== 0;
  write(task, services, view.getUint32(cdb + 2), view.getUint32(cdb + LENGTH_BYTE_12), LENGTH_BYTE_12, fua);
}

export function beginWrite16(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  const fua = (services.bytes[cdb + FLAGS_BYTE]! & FLAG_FUA) !== 0;
  write(task, services, getUint64(view, cdb + 2), view.getUint32(cdb + LENGTH_BYTE_16), LENGTH_BYTE_16, fua);
}

function write(task: Task, services: Services, lba: number, blocks: number, lengthByte: number, fua: boolean): void {
  if (!takeTransfer(task, services, lba, blocks, lengthByte)) return;
  services.writeBlocks(task, lba, blocks, fua || !task.unit!.writeCacheEnabled);
}

/** Whether there are blocks to move. If not, the command is ended: with an error, or with GOOD as there is nothing to do. */
function takeTransfer(task: Task, services: Services, lba: number, blocks: number, lengthByte: number): boolean {
  if (!takeRange(task, services, lba, blocks)) return false;
  if (blocks > TRANSFER_BYTES_MAX >>> task.unit!.blockShift) {
    invalidFieldInCdb(task, services, lengthByte);
    return false;
  }
  if (blocks === 0) {
    services.good(task);
    return false;
  }
  return true;
}

// -- VERIFY

export function beginVerify10(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  verify(task, services, view.getUint32(cdb + 2), view.getUint16(cdb + LENGTH_BYTE_10), LENGTH_BYTE_10);
}

export function beginVerify12(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  verify(task, services, view.getUint32(cdb + 2), view.getUint32(cdb + LENGTH_BYTE_12), LENGTH_BYTE_12);
}

export function beginVerify16(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  verify(task, services, getUint64(view, cdb + 2), view.getUint32(cdb + LENGTH_BYTE_16), LENGTH_BYTE_16);
}

function byteCheck(task: Task, services: Services): number {
  return (services.bytes[task.cdb + FLAGS_BYTE]! & BYTCHK_MASK) >>> BYTCHK_SHIFT;
}

function verify(task: Task, services: Services, lba: number, blocks: number, lengthByte: number): void {
  const check = byteCheck(task, services);
  if (check !== BYTCHK_MEDIUM && check !== BYTCHK_DATA && check !== BYTCHK_ONE_BLOCK) {
    invalidFieldInCdb(task, services, FLAGS_BYTE, BYTCHK_BIT);
    return;
  }
  if (!takeTransfer(task, services, lba, blocks, lengthByte)) return;
  if (check === BYTCHK_MEDIUM) services.verifyBlocks(task, lba, blocks, SCSI_STATUS_GOOD);
  else if (check === BYTCHK_DATA) services.compareBlocks(task, lba, blocks);
  else receiveOneBlock(task, services);
}

/** BYTCHK=3. The buffer: one page for the block that came, the rest for what is read from the medium. */
const ONE_BLOCK_BUFFER_BYTES = 65536;
const MEDIUM_OFFSET = ALLOCATION_BYTES;
const MEDIUM_BYTES_MAX = ONE_BLOCK_BUFFER_BYTES - MEDIUM_OFFSET;

function receiveOneBlock(task: Task, services: Services): void {
  if (services.parameterBuffer(task, ONE_BLOCK_BUFFER_BYTES) < 0) return;
  services.receiveParameters(task, task.unit!.blockLengthBytes);
}

const STEP_RECEIVED = 0;
const STEP_READ = 1;

/** BYTCHK=3: the block is here, or the next blocks of the medium are. With BYTCHK=0 and 1 the transfer is all there is. */
export function resumeVerify(task: Task, services: Services, result: number): void {
  if (result < 0) {
    storeError(task, services, result, false);
    return;
  }
  const { blockLengthBytes, blockShift } = task.unit!;
  const chunkMax = MEDIUM_BYTES_MAX >>> blockShift;
  if (task.step === STEP_RECEIVED) {
    if (result < blockLengthBytes) {
      endWithSense(task, services, INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT);
      return;
    }
    task.step = STEP_READ;
  } else {
    const chunk = Math.min(task.blocks, chunkMax);
    for (let block = 0; block < chunk; block++) {
      const medium = task.parameterOffset + MEDIUM_OFFSET + (block << blockShift);
      const at = firstDifference(services.bytes, task.parameterOffset, medium, blockLengthBytes);
      if (at < 0) continue;
      endWithInformation(task, services, MISCOMPARE_DURING_VERIFY_OPERATION, at);
      return;
    }
    task.lba += chunk;
    task.blocks -= chunk;
    if (task.blocks === 0) {
      services.good(task);
      return;
    }
  }
  services.storeRead(task, MEDIUM_OFFSET, task.lba, Math.min(task.blocks, chunkMax));
}

export function firstDifference(bytes: Uint8Array, left: number, right: number, length: number): number {
  for (let i = 0; i < length; i++) if (bytes[left + i] !== bytes[right + i]) return i;
  return -1;
}

// -- WRITE AND VERIFY

export function beginWriteAndVerify10(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  writeAndVerify(task, services, view.getUint32(cdb + 2), view.getUint16(cdb + LENGTH_BYTE_10), LENGTH_BYTE_10);
}

export function beginWriteAndVerify12(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  writeAndVerify(task, services, view.getUint32(cdb + 2), view.getUint32(cdb + LENGTH_BYTE_12), LENGTH_BYTE_12);
}

export function beginWriteAndVerify16(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  writeAndVerify(task, services, getUint64(view, cdb + 2), view.getUint32(cdb + LENGTH_BYTE_16), LENGTH_BYTE_16);
}

/**
 * BYTCHK=0 asks for no comparison: a durable write, which the store has confirmed, is what such a medium has to offer. With
 * BYTCHK=1 what was written is read back and compared.
 */
function writeAndVerify(task: Task, services: Services, lba: number, blocks: number, lengthByte: number): void {
  const check = byteCheck(task, services);
  if (check !== BYTCHK_MEDIUM && check !== BYTCHK_DATA) {
    invalidFieldInCdb(task, services, FLAGS_BYTE, BYTCHK_BIT);
    return;
  }
  if (!takeTransfer(task, services, lba, blocks, lengthByte)) return;
  if (check === BYTCHK_MEDIUM) services.writeBlocks(task, lba, blocks, true);
  else services.writeAndCompareBlocks(task, lba, blocks);
}

// -- PRE-FETCH

export function beginPreFetch10(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  preFetch(task, services, view.getUint32(cdb + 2), view.getUint16(cdb + LENGTH_BYTE_10));
}

export function beginPreFetch16(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  preFetch(task, services, getUint64(view, cdb + 2), view.getUint32(cdb + LENGTH_BYTE_16));
}

/**
 * CONDITION MET says that all blocks are in a cache, as those of a store in memory always are; GOOD, that not all of them fit
 * (SBC-4). So it is GOOD where there is no cache (direct), where nobody waits until they are there (IMMED=1), and beyond
 * MAXIMUM PREFETCH LENGTH, up to which they are fetched. A length of 0 is all up to the end.
 */
function preFetch(task: Task, services: Services, lba: number, blocks: number): void {
  if (!takeRange(task, services, lba, blocks)) return;
  const unit = task.unit!;
  const immediate = (services.bytes[task.cdb + FLAGS_BYTE]! & FLAG_IMMED) !== 0;
  const wanted = blocks === 0 ? unit.blocks - lba : blocks;
  const fetched = Math.min(wanted, TRANSFER_BYTES_MAX >>> unit.blockShift);
  if (wanted === 0 || unit.store.inMemory) services.status(task, SCSI_STATUS_CONDITION_MET);
  else if (immediate || unit.cache === "direct") services.good(task);
  else services.verifyBlocks(task, lba, fetched, fetched === wanted ? SCSI_STATUS_CONDITION_MET : SCSI_STATUS_GOOD);
}

// -- SYNCHRONIZE CACHE

export function beginSynchronizeCache10(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  synchronizeCache(task, services, view.getUint32(cdb + 2), view.getUint16(cdb + LENGTH_BYTE_10));
}

export function beginSynchronizeCache16(task: Task, services: Services): void {
  const { view } = services;
  const { cdb } = task;
  synchronizeCache(task, services, getUint64(view, cdb + 2), view.getUint32(cdb + LENGTH_BYTE_16));
}

/**
 * The whole unit is flushed, whatever the range: a store flushes no less. With IMMED=1 GOOD comes at once, and a failure later
 * as a deferred error.
 */
function synchronizeCache(task: Task, services: Services, lba: number, blocks: number): void {
  if (!takeRange(task, services, lba, blocks)) return;
  if ((services.bytes[task.cdb + FLAGS_BYTE]! & FLAG_IMMED) === 0) {
    flush(task, services);
    return;
  }
  services.flushInBackground(task);
  services.good(task);
}

/** Flushes; a command whose `resume` is `resumeFlush` then ends. A failure has no LBA: nobody knows which write it was. */
export function flush(task: Task, services: Services): void {
  task.lba = -1;
  services.flush(task);
}

/**
 * Ends a command that has changed blocks, and whose `resume` calls `resumeFlush` next. What was not written durably (task.durable),
 * or by an operation that has no durable form, must not be lost any more where there is no write cache: it may have been
 * switched off since, and nobody else would flush.
 */
export function endOrFlush(task: Task, services: Services): void {
  if (task.durable || task.unit!.writeCacheEnabled) services.good(task);
  else flush(task, services);
}

export function resumeFlush(task: Task, services: Services, result: number): void {
  if (result < 0) storeError(task, services, result, true);
  else services.good(task);
}

/** A unit on a regular file or a block device: how it is opened. */
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readlinkSync,
  type Stats,
  unlinkSync,
} from "node:fs";
import { basename } from "node:path";
import {
  addressOf,
  type BlockDeviceGeometry,
  blockDeviceGeometry,
  errnoMessage,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  fallocateSync,
  fstatfsType,
  lockFile,
  preadSync,
  RAMFS_MAGIC,
  statxAtomicWrites,
  statxDirectIo,
  TMPFS_MAGIC,
} from "io-uring-node";
import type { AtomicWrites, CacheMode, UnitRecord } from "../../dataplane/messages.js";
import { WRITE_ATOMIC_BYTES_MAX } from "../../dataplane/scsi/block-limits.js";
import { hasMappingResources } from "../../dataplane/scsi/mapping-resources.js";
import type { FileUnitConfiguration } from "../config/schema.js";
import { descriptorPath, HeldFolder, identityOf, judgeReal, O_PATH } from "../files/file-roots.js";
import { initialState } from "./unit-state.js";

/** A new image is its owner's alone: it will hold somebody's disk. */
const IMAGE_MODE = 0o600;
/** What O_DIRECT is content with on every file system that does not say what it needs. */
const DIRECT_ALIGNMENT_BYTES = 4096;

/** A unit cannot be served. The message names it, its file, and what is wrong. */
export class UnitError extends Error {
  override readonly name = "UnitError";
  readonly reason: string;

  constructor(unit: string, path: string, reason: string, options?: ErrorOptions) {
    super(`unit ${unit}: ${path}: ${reason}`, options);
    this.reason = reason;
  }
}

/**
 * Somebody else has the file or device. That may be a process that was killed a moment ago: it has it until the last of its
 * operations is over, and nobody may write before that.
 */
export class UnitInUseError extends UnitError {}

/**
 * A lock belongs to an open file description, and an operation in flight keeps alive the one through which it goes, also
 * when its process is gone. So each description through which is written has a lock, on a part of the file of its own; both
 * parts together are what others ask for.
 */
const BUFFERED_LOCK = { start: 0, length: 2 ** 52 };
const DIRECT_LOCK = { start: 2 ** 52, length: 0 };

/** What the file itself does not say. */
export type UnitIdentity = Pick<UnitRecord, "unitIndex" | "uuid" | "statisticsBlock" | "limits">;

/** A unit's file or device, open, locked and measured: plain data, for another thread too. */
export interface OpenedFile {
  readonly record: Omit<UnitRecord, keyof UnitIdentity>;
  /** Of the file: as `identityOf`. */
  readonly identity: string;
  /** It was made. */
  readonly isNew: boolean;
  /** All that are open. */
  readonly descriptors: readonly number[];
  /** What is not as one might think. */
  readonly warnings: readonly string[];
}

/**
 * Opens, locks and measures the unit's file or device; creates a file that is not there if a size is configured.
 *
 * @param roots folders of which the file must be below one; null: it may be anywhere.
 * @throws UnitError; then nothing is left open, or made.
 */
export function openFile(
  unit: FileUnitConfiguration,
  shards: number,
  roots: readonly string[] | null = null,
): OpenedFile {
  const opened = new OpenFiles(unit, roots);
  const warnings: string[] = [];
  try {
    const file = opened.openBuffered();
    const stats = fstatSync(file);
    const isBlock = stats.isBlockDevice();
    opened.lock(file, BUFFERED_LOCK);
    const inMemory = !isBlock && isMemoryFileSystem(fstatfsType(file));
    const device = isBlock ? blockDeviceGeometry(file) : undefined;
    const sizeBytes = device === undefined ? fileSize(opened, file, stats) : deviceSize(opened, device);
    const direct = unit.cache === "direct" && !inMemory ? opened.openDirect(device) : undefined;
    opened.lock(direct?.fd ?? file, DIRECT_LOCK);
    if (unit.cache === "direct" && direct === undefined && !inMemory) {
      warnings.push("O_DIRECT is refused here: the unit's cache is writeback");
    }
    const kind = isBlock ? "block" : "file";
    const thin = device === undefined ? canPunchHoles(file, sizeBytes) : deviceIsThin(device, unit.blockLengthBytes);
    if (unit.thinThresholdBytes !== null && !hasMappingResources({ kind, thin })) {
      warnings.push("thinThreshold is without effect: no space to tell of here");
    }
    const record: OpenedFile["record"] = {
      name: unit.name,
      kind,
      fd: direct?.fd ?? file,
      bufferedFd: file,
      errorFds: unit.readOnly || inMemory ? [] : opened.openForErrors(shards + 1),
      alignmentBytes: direct?.alignmentBytes ?? 1,
      rangeAlignmentBytes: device?.logicalBlockBytes ?? 1,
      atomicWrites: direct === undefined || unit.readOnly ? null : atomicWrites(direct, unit.blockLengthBytes),
      blockLengthBytes: unit.blockLengthBytes,
      physicalBlockBytes: unit.physicalBlockBytes,
      cache: effectiveCache(unit.cache, direct !== undefined),
      readOnly: unit.readOnly,
      removable: unit.removable,
      thin,
      inMemory,
      state: initialState(sizeBytes, effectiveCache(unit.cache, direct !== undefined), unit.thinThresholdBytes),
    };
    const { isNew, descriptors } = opened.settle();
    return { record, identity: identityOf(fstatSync(file, { bigint: true })), isNew, descriptors, warnings };
  } catch (error) {
    opened.takeBack();
    throw error instanceof UnitError ? error : opened.error((error as Error).message, error);
  }
}

/**
 * The descriptors of one unit while it is being opened. The path is followed once: what it leads to then is what all of them have,
 * whatever it leads to by now.
 */
class OpenFiles {
  readonly unit: FileUnitConfiguration;
  readonly #roots: readonly string[] | null;
  readonly #fds: number[] = [];
  readonly #access: number;
  /** Holds the file without having it open (O_PATH), while others are opened through it; -1: none. */
  #held = -1;
  /** Where the file was made; null: it was there. */
  #madeIn: HeldFolder | null = null;

  constructor(unit: FileUnitConfiguration, roots: readonly string[] | null) {
    this.unit = unit;
    this.#roots = roots;
    this.#access = unit.readOnly ? constants.O_RDONLY : constants.O_RDWR;
  }

  error(reason: string, cause?: unknown): UnitError {
    return new UnitError(this.unit.name, this.unit.path, reason, cause === undefined ? {} : { cause });
  }

  openBuffered(): number {
    if (!this.#hold()) this.#make();
    try {
      // Of a block device O_EXCL claims the whole: it fails where the device is mounted, and keeps it from being mounted.
      // A regular file that exists is not concerned.
      return this.#open(this.unit.readOnly ? this.#access : this.#access | constants.O_EXCL);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
      throw this.#inUse("resource busy: it is mounted, or claimed");
    }
  }

  /** Nothing is opened that would notice, or would have us wait: a pipe, a tape. @returns false: there is nothing. */
  #hold(): boolean {
    try {
      this.#held = openSync(this.unit.path, O_PATH);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
    judgeReal(readlinkSync(descriptorPath(this.#held)), this.#roots);
    const stats = fstatSync(this.#held);
    if (!stats.isBlockDevice() && !stats.isFile()) throw this.error("is neither a regular file nor a block device");
    return true;
  }

  #make(): void {
    const { path, sizeBytes, readOnly } = this.unit;
    if (readOnly) throw this.error("does not exist");
    if (sizeBytes === null) throw this.error("does not exist: give the unit a size to have it created");
    const folder = HeldFolder.of(path, this.#roots);
    try {
      this.#held = openSync(
        folder.at(basename(path)),
        constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
        IMAGE_MODE,
      );
    } catch (error) {
      folder.close();
      throw error;
    }
    this.#madeIn = folder;
    ftruncateSync(this.#held, sizeBytes);
    fsyncSync(this.#held);
    folder.sync();
  }

  /** A writer keeps everybody else off; readers keep only writers off. */
  lock(fd: number, { start, length }: typeof BUFFERED_LOCK): void {
    const result = lockFile(fd, !this.unit.readOnly, start, length);
    if (result < 0) throw this.#inUse(`lock refused: ${errnoMessage(result)}`);
  }

  #inUse(reason: string): UnitInUseError {
    const { name, path, readOnly } = this.unit;
    const why = readOnly ? "" : "; two writers would destroy what is on it";
    return new UnitInUseError(
      name,
      path,
      `is in use, by another process or as another unit of this one (${reason})${why}`,
    );
  }

  /** Undefined where the file system does not do direct I/O on this file. */
  openDirect(
    device: BlockDeviceGeometry | undefined,
  ): { readonly fd: number; readonly alignmentBytes: number } | undefined {
    let fd: number;
    try {
      fd = this.#open(this.#access | constants.O_DIRECT);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EINVAL") return undefined;
      throw error;
    }
    const told = statxDirectIo(fd);
    // Of a device that does not tell, memory is no pickier than places.
    const alignmentBytes =
      told !== undefined
        ? Math.max(told.offsetAlign, told.memoryAlign)
        : (device?.logicalBlockBytes ?? DIRECT_ALIGNMENT_BYTES);
    if (directReadWorks(fd, alignmentBytes)) return { fd, alignmentBytes };
    this.#fds.pop();
    closeSync(fd);
    return undefined;
  }

  /** Before anything can be written: what fails from now on, each of them is told. */
  openForErrors(count: number): number[] {
    return Array.from({ length: count }, () => this.#open(constants.O_RDONLY));
  }

  /** All is open that there is to be. */
  settle(): Pick<OpenedFile, "isNew" | "descriptors"> {
    const isNew = this.#madeIn !== null;
    this.#release();
    return { isNew, descriptors: [...this.#fds] };
  }

  takeBack(): void {
    for (const fd of this.#fds) closeSync(fd);
    if (this.#madeIn !== null) unlinkSync(this.#madeIn.at(basename(this.unit.path)));
    this.#release();
  }

  #release(): void {
    if (this.#held >= 0) closeSync(this.#held);
    this.#madeIn?.close();
  }

  #open(flags: number): number {
    const fd = openSync(descriptorPath(this.#held), flags);
    this.#fds.push(fd);
    return fd;
  }
}

/** What is not direct although it should be has the page cache's durability. */
function effectiveCache(configured: CacheMode, isDirect: boolean): CacheMode {
  return configured === "direct" && !isDirect ? "writeback" : configured;
}

function fileSize(opened: OpenFiles, fd: number, stats: Stats): number {
  const { sizeBytes: configured, blockLengthBytes, readOnly } = opened.unit;
  if (configured === null) return wholeBlocks(opened, stats.size, blockLengthBytes);
  if (stats.size > configured) {
    throw opened.error(
      `is ${stats.size} bytes long, and the configured size is ${configured}: files are never shrunk; configure its size, or none`,
    );
  }
  if (stats.size < configured) {
    if (readOnly) throw opened.error(`is ${stats.size} bytes long, and cannot grow to ${configured}: it is read-only`);
    ftruncateSync(fd, configured);
    fsyncSync(fd);
  }
  return configured;
}

/**
 * Makes the file as long as is configured now, which is longer than it was; a device has to be so large already.
 *
 * @returns how long it was.
 * @throws UnitError
 */
export function growFile({ name, path, sizeBytes }: FileUnitConfiguration, fd: number): number {
  const stats = fstatSync(fd);
  if (stats.isBlockDevice()) {
    const { sizeBytes: has } = blockDeviceGeometry(fd);
    if (sizeBytes! > has) throw new UnitError(name, path, `has ${has} bytes, and the configured size is ${sizeBytes}`);
    return has;
  }
  if (stats.size > sizeBytes!) {
    throw new UnitError(name, path, `is ${stats.size} bytes long, and the configured size is ${sizeBytes}`);
  }
  try {
    ftruncateSync(fd, sizeBytes!);
    fsyncSync(fd);
  } catch (error) {
    throw new UnitError(name, path, `cannot grow to ${sizeBytes} bytes: ${(error as Error).message}`, { cause: error });
  }
  return stats.size;
}

/** Where all writes are direct; null: none is written as a whole or not at all, or no whole number of blocks. */
function atomicWrites(
  { fd, alignmentBytes }: { readonly fd: number; readonly alignmentBytes: number },
  blockLengthBytes: number,
): AtomicWrites | null {
  const told = blockLengthBytes < alignmentBytes ? undefined : statxAtomicWrites(fd);
  if (told === undefined) return null;
  const bytesMin = Math.max(told.bytesMin, blockLengthBytes);
  const bytesMax = Math.min(told.bytesMax, WRITE_ATOMIC_BYTES_MAX);
  return bytesMin <= bytesMax ? { bytesMin, bytesMax } : null;
}

function deviceSize(opened: OpenFiles, { sizeBytes }: BlockDeviceGeometry): number {
  const { sizeBytes: configured, blockLengthBytes } = opened.unit;
  if (configured === null) return wholeBlocks(opened, sizeBytes, blockLengthBytes);
  if (configured > sizeBytes) {
    throw opened.error(`has ${sizeBytes} bytes, and the configured size is ${configured}`);
  }
  return configured;
}

function wholeBlocks(opened: OpenFiles, sizeBytes: number, blockLengthBytes: number): number {
  const size = sizeBytes - (sizeBytes % blockLengthBytes);
  if (size === 0) throw opened.error(`is ${sizeBytes} bytes long: not one block of ${blockLengthBytes}`);
  return size;
}

function isMemoryFileSystem(magic: number): boolean {
  return magic === TMPFS_MAGIC || magic === RAMFS_MAGIC;
}

/** Some file systems accept O_DIRECT in open(2) and refuse the I/O. */
function directReadWorks(fd: number, alignmentBytes: number): boolean {
  const memory = new Uint8Array(2 * alignmentBytes);
  const address = addressOf(memory);
  const aligned = Math.ceil(address / alignmentBytes) * alignmentBytes;
  return preadSync(fd, aligned, alignmentBytes, 0) >= 0;
}

/** Asked where there is nothing to lose: behind the end of the file. */
function canPunchHoles(fd: number, sizeBytes: number): boolean {
  return fallocateSync(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, sizeBytes, DIRECT_ALIGNMENT_BYTES) >= 0;
}

/** Punching a hole in a block device zeroes, and deallocates where the device can do both at once; in whole sectors only. */
function deviceIsThin(
  { discard, writeZeroesMaxBytes, logicalBlockBytes }: BlockDeviceGeometry,
  blockLengthBytes: number,
): boolean {
  return discard && writeZeroesMaxBytes > 0 && blockLengthBytes >= logicalBlockBytes;
}

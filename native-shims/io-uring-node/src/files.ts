/**
 * Files and block devices, synchronously: for start-up, and for stores in memory. Results: >= 0, or -errno, unless said
 * otherwise.
 */
import { readFileSync } from "node:fs";
import { SEEK_DATA, SEEK_HOLE } from "./constants.js";
import { orThrow } from "./errno.js";
import { addon } from "./native.js";

// Magic numbers of `fstatfsType`.
export const TMPFS_MAGIC = 0x01021994;
export const RAMFS_MAGIC = 0x858458f6;
export const EXT4_SUPER_MAGIC = 0xef53;
export const XFS_SUPER_MAGIC = 0x58465342;
export const BTRFS_SUPER_MAGIC = 0x9123683e;
export const NFS_SUPER_MAGIC = 0x6969;
export const OVERLAYFS_SUPER_MAGIC = 0x794c7630;

/** Bytes read, fewer at the end of the file. */
export function preadSync(fd: number, address: number, length: number, fileOffset: number): number {
  return addon.pread(fd, address, length, fileOffset);
}

/** Bytes written. `rwFlags`: RWF_*. */
export function pwriteSync(fd: number, address: number, length: number, fileOffset: number, rwFlags: number): number {
  return addon.pwrite(fd, address, length, fileOffset, rwFlags);
}

/** `mode`: FALLOC_FL_*. */
export function fallocateSync(fd: number, mode: number, fileOffset: number, length: number): number {
  return addon.fallocate(fd, mode, fileOffset, length);
}

/**
 * What has become of the write-back of this file or device, on whosever behalf, since the last call with a descriptor of
 * the same open file description (or since it was opened): 0, or -EIO, -ENOSPC ... Does not wait, and writes nothing. As
 * with fsync(2), every open file description is told of a failure once.
 */
export function writeBackError(fd: number): number {
  return addon.writeBackError(fd);
}

/** The next offset >= fileOffset that has data; -ENXIO: none up to the end. Moves the descriptor's position. */
export function seekData(fd: number, fileOffset: number): number {
  return addon.seek(fd, fileOffset, SEEK_DATA);
}

/** The next offset >= fileOffset that is a hole; the end of the file counts as one. Moves the descriptor's position. */
export function seekHole(fd: number, fileOffset: number): number {
  return addon.seek(fd, fileOffset, SEEK_HOLE);
}

/** The file system's magic number, e.g. TMPFS_MAGIC. */
export function fstatfsType(fd: number): number {
  return addon.fstatfsType(fd);
}

/**
 * Takes a lock on a range of the file (by default all of it; length 0: to whatever end) without waiting; -EAGAIN (= -EWOULDBLOCK): somebody else has it. It belongs to the
 * open file description (F_OFD_SETLK), so it ends with the last duplicate of `fd`, and other programs' fcntl locks
 * (QEMU's image locks) conflict with it. An exclusive lock needs a descriptor open for writing, a shared one a
 * descriptor open for reading (-EBADF).
 */
export function lockFile(fd: number, exclusive = true, start = 0, length = 0): number {
  return addon.lockFile(fd, exclusive, start, length);
}

export function closeSync(fd: number): number {
  return addon.closeFd(fd);
}

/** A second descriptor, with O_CLOEXEC, for the same open file or socket. */
export function dup(fd: number): number {
  return addon.dup(fd);
}

export interface BlockDeviceGeometry {
  readonly sizeBytes: number;
  readonly logicalBlockBytes: number;
  readonly physicalBlockBytes: number;
  /** The device can discard (`fallocate` with FALLOC_FL_PUNCH_HOLE). */
  readonly discard: boolean;
  /** 0 where the device does not say. */
  readonly discardGranularityBytes: number;
  /** Most per discard; 0: no discard. */
  readonly discardMaxBytes: number;
  /** Most per write-zeroes (`fallocate` with FALLOC_FL_ZERO_RANGE); 0: not offloaded. */
  readonly writeZeroesMaxBytes: number;
}

/** @throws SystemError ENOTBLK: no block device. */
export function blockDeviceGeometry(fd: number): BlockDeviceGeometry {
  const out = new Float64Array(5);
  orThrow(addon.blockDevice(fd, out), "block device geometry", `fd ${fd}`);
  const limit = (name: string) => queueLimit(out[3]!, out[4]!, name);
  const discardMaxBytes = limit("discard_max_bytes");
  return {
    sizeBytes: out[0]!,
    logicalBlockBytes: out[1]!,
    physicalBlockBytes: out[2]!,
    discard: discardMaxBytes > 0,
    discardGranularityBytes: limit("discard_granularity"),
    discardMaxBytes,
    writeZeroesMaxBytes: limit("write_zeroes_max_bytes"),
  };
}

/** A limit of the device's queue; a partition has its disk's. 0 where sysfs does not tell. */
function queueLimit(major: number, minor: number, name: string): number {
  for (const directory of ["queue", "../queue"]) {
    try {
      return Number(readFileSync(`/sys/dev/block/${major}:${minor}/${directory}/${name}`, "utf8"));
    } catch {
      // Try the disk of the partition, then give up.
    }
  }
  return 0;
}

export interface DirectIoAlignment {
  /** Of addresses in memory, bytes. */
  readonly memoryAlign: number;
  /** Of file offsets and lengths, bytes. */
  readonly offsetAlign: number;
}

/** What O_DIRECT asks for on this file; undefined: the file system does not tell, or has no direct I/O on this file. */
export function statxDirectIo(fd: number): DirectIoAlignment | undefined {
  const out = new Float64Array(2);
  if (addon.directIoAlignment(fd, out) < 0) return undefined;
  return { memoryAlign: out[0]!, offsetAlign: out[1]! };
}

export interface AtomicWriteUnits {
  /** Lengths in bytes, powers of two. */
  readonly bytesMin: number;
  readonly bytesMax: number;
}

/**
 * What RWF_ATOMIC writes to this file as a whole or not at all, even if the machine fails; undefined: nothing. Such a write is as
 * long as a power of two between these, begins at a multiple of its length, and takes a descriptor that was opened with O_DIRECT,
 * and memory that is not registered.
 */
export function statxAtomicWrites(fd: number): AtomicWriteUnits | undefined {
  const out = new Float64Array(2);
  if (addon.atomicWriteUnits(fd, out) < 0) return undefined;
  return { bytesMin: out[0]!, bytesMax: out[1]! };
}

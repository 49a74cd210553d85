/** The addon and its face. Results are >= 0 or -errno; nothing in it throws, but for wrong argument types. */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

/** What `openRing` hands out. The three buffers are mapped memory; `closeRing` detaches and unmaps them. */
export interface NativeRing {
  readonly handle: object;
  readonly fd: number;
  readonly sqEntries: number;
  readonly cqEntries: number;
  /** Both queues: SQ head, tail, flags, CQ head, tail as byte offsets, and the CQEs. */
  readonly rings: ArrayBuffer;
  readonly sqHeadOffset: number;
  readonly sqTailOffset: number;
  readonly sqFlagsOffset: number;
  readonly cqHeadOffset: number;
  readonly cqTailOffset: number;
  readonly cqesOffset: number;
  readonly sqes: ArrayBuffer;
  readonly control: ArrayBuffer;
  readonly setupFlags: number;
  readonly featureBits: number;
  /** One io_uring_enter; arguments and results are in `control`. Must not be called after `closeRing`. */
  enter(): void;
}

export interface NativeAddress {
  address: string;
  port: number;
  family: number;
}

export interface Addon {
  openRing(
    entries: number,
    cqEntries: number,
    flags: number,
    drainTimeoutMs: number,
    drained: Int32Array | undefined,
  ): NativeRing | number;
  /** 1: the kernel holds nothing any more; 0: not confirmed in time. */
  closeRing(handle: object): number;
  /** Pairs of address and length. */
  registerBuffers(handle: object, regions: Float64Array): number;
  registerFiles(handle: object, fds: Int32Array): number;
  updateFile(handle: object, slot: number, fd: number): number;
  registerBufferRing(handle: object, group: number, entries: number): ArrayBuffer | number;
  /** One flag byte per opcode into `supported`; returns how many the kernel has. */
  probeOpcodes(handle: object, supported: Uint8Array): number;

  addressOf(view: ArrayBufferView): number;
  adviseHugePages(view: ArrayBufferView): number;

  crc32c(bytes: Uint8Array, seed: number): number;
  crc32cBatch(arena: Uint8Array, jobs: Uint32Array, count: number): void;
  crc32cBy(implementation: string, bytes: Uint8Array, seed: number): number;
  crc32cImplementations(): string[];

  pread(fd: number, address: number, length: number, fileOffset: number): number;
  pwrite(fd: number, address: number, length: number, fileOffset: number, rwFlags: number): number;
  fallocate(fd: number, mode: number, fileOffset: number, length: number): number;
  writeBackError(fd: number): number;
  seek(fd: number, fileOffset: number, whence: number): number;
  fstatfsType(fd: number): number;
  lockFile(fd: number, exclusive: boolean, start: number, length: number): number;
  closeFd(fd: number): number;
  dup(fd: number): number;
  /** Writes [sizeBytes, logicalBlockBytes, physicalBlockBytes, deviceMajor, deviceMinor]. */
  blockDevice(fd: number, out: Float64Array): number;
  /** Writes [memoryAlign, offsetAlign]. */
  directIoAlignment(fd: number, out: Float64Array): number;
  atomicWriteUnits(fd: number, out: Float64Array): number;

  preadAsync(fd: number, address: number, length: number, fileOffset: number): Promise<number>;
  pwriteAsync(fd: number, address: number, length: number, fileOffset: number, rwFlags: number): Promise<number>;
  fdatasyncAsync(fd: number): Promise<number>;
  fallocateAsync(fd: number, mode: number, fileOffset: number, length: number): Promise<number>;
  seekAsync(fd: number, fileOffset: number, whence: number): Promise<number>;
  copyFileRangeAsync(
    fromFd: number,
    fromOffset: number,
    toFd: number,
    toOffset: number,
    length: number,
  ): Promise<number>;

  socket(family: number, type: number): number;
  encodeSockaddr(host: string, port: number, out: Uint8Array): number;
  bind(fd: number, sockaddr: Uint8Array): number;
  connect(fd: number, sockaddr: Uint8Array): number;
  listen(fd: number, backlog: number): number;
  socketAddress(fd: number, peer: boolean): NativeAddress | number;
  setSocketOption(fd: number, level: number, option: number, value: number): number;
  getSocketOption(fd: number, level: number, option: number): number;
  shutdown(fd: number, how: number): number;
  setNonBlocking(fd: number, on: boolean): number;

  eventfd(): number;
  eventfdSignal(fd: number): number;
  threadCpuUs(): number;
  threadId(): number;
  setThreadAffinity(cpus: Int32Array): number;
  monotonicUs(): number;
}

/** What was built here first, then what came with the package. */
const PLACES = ["../build/io_uring_node.node", `../prebuilds/${process.platform}-${process.arch}/io_uring_node.node`];

function load(): Addon {
  const require = createRequire(import.meta.url);
  let cause: unknown;
  for (const place of PLACES) {
    try {
      return require(place) as Addon;
    } catch (error) {
      // That one is there and does not load says more than that another is not there.
      if (cause === undefined || (error as NodeJS.ErrnoException).code === "ERR_DLOPEN_FAILED") cause = error;
    }
  }
  const build = fileURLToPath(new URL("../build.mjs", import.meta.url));
  throw new Error(
    `io-uring-node: its addon for ${process.platform}-${process.arch} cannot be loaded. Build it: node ${build}`,
    { cause },
  );
}

export const addon: Addon = load();

/** The ring of the Linux kernel. */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import {
  SETUP_CLAMP,
  SETUP_COOP_TASKRUN,
  SETUP_CQSIZE,
  SETUP_DEFER_TASKRUN,
  SETUP_SINGLE_ISSUER,
  SETUP_SUBMIT_ALL,
} from "./constants.js";
import { errno, orThrow, SystemError } from "./errno.js";
import { createFeatures, type Features } from "./features.js";
import { addon, type NativeRing } from "./native.js";
import { ProvidedBuffers } from "./provided-buffers.js";
import { explainUnavailable, RingClosedError } from "./ring-errors.js";
import {
  CONTROL_MIN_COMPLETE,
  CONTROL_NOW_US_DOUBLE,
  CONTROL_RESULT,
  CONTROL_TIMEOUT_MS_DOUBLE,
  CQE_WORDS,
  type RingMemory,
} from "./ring-memory.js";
import { type MemoryRegion, SubmissionCompletionRing } from "./submission-completion-ring.js";

export interface RingOptions {
  /** Of the submission queue; rounded up to a power of two, at most 32768. */
  readonly entries: number;
  /** Of the completion queue; default: twice `entries`. */
  readonly cqEntries?: number;
  /**
   * SETUP_* flags beside RING_SETUP_FLAGS, but none that changes the layout of the queues. What is newer than Linux 6.1
   * must be probed for.
   */
  readonly flags?: number;
  /**
   * On a SharedArrayBuffer. When the ring is closed, also because its thread ends, [0] becomes 1 if the kernel held
   * nothing of it any more, -1 if that could not be confirmed in time. Read it after the thread's exit.
   */
  readonly drained?: Int32Array;
  /**
   * How long closing may wait for operations that do not let themselves be cancelled (writes to a slow disk). Default
   * 10000.
   */
  readonly drainTimeoutMs?: number;
}

/**
 * What every ring is set up with: one thread submits, completions are worked off within its own `enter`. Needs Linux
 * 6.1.
 */
export const RING_SETUP_FLAGS =
  SETUP_CLAMP | SETUP_SUBMIT_ALL | SETUP_COOP_TASKRUN | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN;

/**
 * Set-up flags that change how the queues lie in memory or who drives them, so that this code would misread them: R_DISABLED,
 * SQE128, CQE32, NO_MMAP, REGISTERED_FD_ONLY, NO_SQARRAY, CQE_MIXED, SQE_MIXED, SQ_REWIND.
 */
const SETUP_FLAGS_REFUSED = (1 << 6) | (3 << 10) | (7 << 14) | (7 << 18);

/** The longest that one `enter` waits: a thread that is to be stopped has to come back from native code. */
const ENTER_MS_MAX = 1000;
const SUBMIT_ONLY = -1;
const OPCODES_MAX = 256;

export class Ring extends SubmissionCompletionRing {
  override readonly fd: number;
  readonly features: Features;
  readonly #native: NativeRing;
  readonly #control: Int32Array;
  readonly #controlDoubles: Float64Array;
  readonly #enter: () => void;

  private constructor(native: NativeRing) {
    super(memoryOf(native));
    this.fd = native.fd;
    this.#native = native;
    this.#control = this.memory.control;
    this.#controlDoubles = new Float64Array(native.control, 0, 2);
    this.#enter = native.enter;
    const opcodes = new Uint8Array(OPCODES_MAX);
    orThrow(addon.probeOpcodes(native.handle, opcodes), "io_uring_register", "PROBE");
    this.features = createFeatures(native.featureBits, native.setupFlags, opcodes);
    this.nowUs = addon.monotonicUs();
  }

  /** Call it on the thread that will use the ring: no other can. @throws RingUnavailableError */
  static open(options: RingOptions): Ring {
    const { entries, cqEntries = 0, flags = 0, drained, drainTimeoutMs = 10_000 } = options;
    if (!Number.isInteger(entries) || entries < 1) throw new RangeError(`entries: ${entries}`);
    if (!Number.isInteger(cqEntries) || cqEntries < 0) throw new RangeError(`cqEntries: ${cqEntries}`);
    if ((flags & SETUP_FLAGS_REFUSED) !== 0) throw new RangeError(`flags: ${flags} changes the layout of the ring`);
    if (!(drainTimeoutMs >= 0)) throw new RangeError(`drainTimeoutMs: ${drainTimeoutMs}`);
    // Written when the thread is gone: memory that could be transferred or collected meanwhile will not do.
    if (drained !== undefined && !(drained.buffer instanceof SharedArrayBuffer)) {
      throw new TypeError("drained: an Int32Array on a SharedArrayBuffer is expected");
    }
    const setupFlags = RING_SETUP_FLAGS | flags | (cqEntries > 0 ? SETUP_CQSIZE : 0);
    const native = addon.openRing(entries, cqEntries, setupFlags, drainTimeoutMs, drained);
    if (typeof native === "number") {
      throw explainUnavailable(native, { kernelRelease: release(), sysctl: readSysctl() });
    }
    return new Ring(native);
  }

  override enter(minComplete: number, timeoutMs: number): number {
    this.publish();
    const control = this.#control;
    control[CONTROL_MIN_COMPLETE] = minComplete;
    this.#controlDoubles[CONTROL_TIMEOUT_MS_DOUBLE] =
      timeoutMs < 0 || timeoutMs > ENTER_MS_MAX ? ENTER_MS_MAX : timeoutMs;
    this.#enter();
    this.nowUs = this.#controlDoubles[CONTROL_NOW_US_DOUBLE]!;
    const ready = this.refresh();
    const result = control[CONTROL_RESULT]!;
    if (result < 0) throw new SystemError(result, "io_uring_enter");
    return ready;
  }

  protected override submit(): void {
    this.publish();
    this.#control[CONTROL_MIN_COMPLETE] = SUBMIT_ONLY;
    this.#enter();
    this.refresh();
    const result = this.#control[CONTROL_RESULT]!;
    if (result < 0) throw new SystemError(result, "io_uring_enter");
  }

  override registerBuffers(regions: readonly MemoryRegion[]): void {
    const pairs = new Float64Array(regions.length * 2);
    regions.forEach((region, at) => {
      pairs[at * 2] = region.address;
      pairs[at * 2 + 1] = region.length;
    });
    orThrow(addon.registerBuffers(this.#handle(), pairs), "io_uring_register", "BUFFERS");
  }

  override registerFiles(fds: readonly number[]): void {
    orThrow(addon.registerFiles(this.#handle(), Int32Array.from(fds)), "io_uring_register", "FILES");
  }

  override updateFile(slot: number, fd: number): void {
    orThrow(addon.updateFile(this.#handle(), slot, fd), "io_uring_register", "FILES_UPDATE");
  }

  override registerBufferRing(group: number, entries: number): ProvidedBuffers {
    const memory = addon.registerBufferRing(this.#handle(), group, entries);
    if (typeof memory === "number") throw new SystemError(memory, "io_uring_register", "PBUF_RING");
    return new ProvidedBuffers(group, memory);
  }

  override close(): void {
    if (this.closed) return;
    this.publish();
    this.markClosed();
    addon.closeRing(this.#native.handle);
  }

  #handle(): object {
    if (this.closed) throw new RingClosedError();
    return this.#native.handle;
  }
}

function memoryOf(native: NativeRing): RingMemory {
  return {
    sqEntries: native.sqEntries,
    cqEntries: native.cqEntries,
    positions: new Int32Array(native.rings, 0, native.rings.byteLength >>> 2),
    sqHeadAt: native.sqHeadOffset >>> 2,
    sqTailAt: native.sqTailOffset >>> 2,
    sqFlagsAt: native.sqFlagsOffset >>> 2,
    cqHeadAt: native.cqHeadOffset >>> 2,
    cqTailAt: native.cqTailOffset >>> 2,
    sqes: new Uint32Array(native.sqes),
    cqes: new Uint32Array(native.rings, native.cqesOffset, native.cqEntries * CQE_WORDS),
    control: new Int32Array(native.control),
  };
}

function readSysctl(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/io_uring_disabled", "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Opens a small ring, looks, closes it. @throws RingUnavailableError */
export function probe(): Features {
  const ring = Ring.open({ entries: 1 });
  const { features } = ring;
  ring.close();
  return features;
}

/** True for an error of `registerBuffers` that RLIMIT_MEMLOCK explains: one can serve without fixed buffers. */
export function isMemoryLockLimit(error: unknown): boolean {
  return error instanceof SystemError && (error.errno === errno.ENOMEM || error.errno === errno.EPERM);
}

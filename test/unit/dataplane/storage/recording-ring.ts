/** A ring and a host for tests of stores: they note in words what is asked of them, and do nothing. */
import { RWF_DSYNC, type SubmissionCompletionRing } from "io-uring-node";
import type { Arena } from "../../../../dataplane/arena.js";
import type { SynchronousFiles } from "../../../../dataplane/storage/store.js";

export class RecordingRing {
  /** "read fd 7 at 4096, 512 bytes to 0", with what is special about it behind. */
  readonly operations: string[] = [];
  /** What the kernel has to say of it. */
  writeBackError = 0;
  readonly #arena: Arena;

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  /** As what the code under test sees it. */
  get ring(): SubmissionCompletionRing {
    return this as unknown as SubmissionCompletionRing;
  }

  /** What the host does for files in memory: all succeeds. */
  get files(): SynchronousFiles {
    return {
      read: (fd, address, length, offset) => {
        this.#note(`read at once fd ${fd} at ${offset}, ${length} bytes to ${address - this.#arena.base}`);
        return length;
      },
      write: (fd, address, length, offset) => {
        this.#note(`write at once fd ${fd} at ${offset}, ${length} bytes from ${address - this.#arena.base}`);
        return length;
      },
      writeBackError: (fd) => {
        this.#note(`write-back error of fd ${fd}`);
        return this.writeBackError;
      },
    };
  }

  read(fd: number, address: number, length: number, offset: number, flags: number, kind: number, index: number): void {
    this.#note(`read fd ${fd} at ${offset}, ${length} bytes to ${this.#place(address)}`, flags, kind, index);
  }

  readFixed(
    fd: number,
    address: number,
    length: number,
    offset: number,
    flags: number,
    buffer: number,
    kind: number,
    index: number,
  ): void {
    this.#note(
      `read fd ${fd} at ${offset}, ${length} bytes to ${this.#place(address)} of buffer ${buffer}`,
      flags,
      kind,
      index,
    );
  }

  write(fd: number, address: number, length: number, offset: number, flags: number, kind: number, index: number): void {
    this.#note(`write fd ${fd} at ${offset}, ${length} bytes from ${this.#place(address)}`, flags, kind, index);
  }

  writeFixed(
    fd: number,
    address: number,
    length: number,
    offset: number,
    flags: number,
    buffer: number,
    kind: number,
    index: number,
  ): void {
    this.#note(
      `write fd ${fd} at ${offset}, ${length} bytes from ${this.#place(address)} of buffer ${buffer}`,
      flags,
      kind,
      index,
    );
  }

  fdatasync(fd: number, kind: number, index: number): void {
    this.#note(`fdatasync fd ${fd}`, 0, kind, index);
  }

  fallocate(fd: number, mode: number, offset: number, length: number, kind: number, index: number): void {
    this.#note(`fallocate ${mode.toString(16)}h fd ${fd} at ${offset}, ${length} bytes`, 0, kind, index);
  }

  #place(address: number): number {
    return address - this.#arena.base;
  }

  #note(text: string, flags = 0, kind = 0, index = 0): void {
    const durable = (flags & RWF_DSYNC) !== 0 ? ", durable" : "";
    const rest = (flags & ~RWF_DSYNC) !== 0 ? `, flags ${flags.toString(16)}h` : "";
    const tag = kind === 0 ? "" : ` (${kind}, ${index})`;
    this.operations.push(`${text}${durable}${rest}${tag}`);
  }
}

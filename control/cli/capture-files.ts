/** Where the blocks of a capture go: one file, or the last few of many, each of which can be read by itself. */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { format, parse } from "node:path";
import { BLOCK_INTERFACE_DESCRIPTION, BLOCK_SECTION_HEADER } from "../capture/pcapng.js";

/** What is in it may be anybody's data. */
const MODE = 0o600;

export interface CaptureFilesOptions {
  readonly path: string;
  /** Null: one file. Otherwise the next one begins where a block would make it longer than this. */
  readonly bytesMax: number | null;
  /** So many are kept. */
  readonly filesMax: number;
}

export class CaptureFiles {
  readonly #options: CaptureFilesOptions;
  /** Section and interfaces: every file begins with them. */
  #head: Buffer = Buffer.alloc(0);
  #count = 0;
  #fd = -1;
  #bytes = 0;

  /** @throws what open(2) says. */
  constructor(options: CaptureFilesOptions) {
    this.#options = options;
    this.#next();
  }

  write(block: Buffer): void {
    const type = block.readUInt32LE(0);
    if (type === BLOCK_SECTION_HEADER || type === BLOCK_INTERFACE_DESCRIPTION) {
      this.#head = Buffer.concat([this.#head, block]);
    } else {
      const { bytesMax } = this.#options;
      const isFull = bytesMax !== null && this.#bytes + block.length > bytesMax;
      if (isFull && this.#bytes > this.#head.length) this.#next();
    }
    this.#put(block);
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  /** Those that there are. */
  get paths(): string[] {
    const first = Math.max(1, this.#count - this.#options.filesMax + 1);
    return Array.from({ length: this.#count - first + 1 }, (_, i) => this.#path(first + i));
  }

  #next(): void {
    this.close();
    this.#count++;
    this.#fd = openSync(this.#path(this.#count), "w", MODE);
    this.#bytes = 0;
    this.#put(this.#head);
    const old = this.#count - this.#options.filesMax;
    if (old > 0) rmSync(this.#path(old), { force: true });
  }

  /** `disk.pcapng`, or `disk-00001.pcapng`. */
  #path(number: number): string {
    const { path, bytesMax } = this.#options;
    if (bytesMax === null) return path;
    const { dir, name, ext } = parse(path);
    return format({ dir, name: `${name}-${String(number).padStart(5, "0")}`, ext });
  }

  #put(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    this.#bytes += bytes.length;
  }
}

/**
 * What WRITE BUFFER leaves for READ BUFFER (SPC-5): of each LUN a data buffer and an echo buffer, this I_T nexus' own, so that
 * nobody reads what another one has written. They are made when they are written to, for a few LUNs at a time.
 */
import { BUFFERED_LUNS_MAX } from "../limits.js";

/** Of the data buffer and of the echo buffer, each. */
export const NEXUS_BUFFER_BYTES = 4096;

export class NexusBuffer {
  /** NEXUS_BUFFER_BYTES; zero where nothing was written. */
  readonly data = new Uint8Array(NEXUS_BUFFER_BYTES);
  /** As it was written last; null: never. */
  echo: Uint8Array | null = null;
}

export class NexusBuffers {
  /** By LUN, oldest first. */
  readonly #buffers = new Map<number, NexusBuffer>();

  /** Undefined: nothing was written, or it is forgotten. */
  find(lun: number): NexusBuffer | undefined {
    return this.#buffers.get(lun);
  }

  /** To write to. */
  take(lun: number): NexusBuffer {
    const found = this.#buffers.get(lun);
    if (found !== undefined) return found;
    if (this.#buffers.size === BUFFERED_LUNS_MAX) {
      for (const oldest of this.#buffers.keys()) {
        this.#buffers.delete(oldest);
        break;
      }
    }
    const made = new NexusBuffer();
    this.#buffers.set(lun, made);
    return made;
  }
}

/** The kernel's end of a ring of provided buffers (io_uring_setup_buf_ring(3)). */
const ENTRY_WORDS = 4;
const ENTRY_HALF_WORDS = 8;
const BUFFER_ID_HALF_WORD = 6;
const TAIL_HALF_WORD = 7;

export interface ProvidedBuffer {
  readonly id: number;
  readonly address: number;
  readonly length: number;
}

export class ProvidedGroup {
  readonly memory: ArrayBuffer;
  readonly #entries: number;
  readonly #words: Uint32Array;
  readonly #halfWords: Uint16Array;
  #head = 0;

  constructor(entries: number) {
    this.memory = new ArrayBuffer(entries * ENTRY_WORDS * 4);
    this.#entries = entries;
    this.#words = new Uint32Array(this.memory);
    this.#halfWords = new Uint16Array(this.memory);
  }

  /** Buffers that the kernel has. */
  get count(): number {
    return (this.#halfWords[TAIL_HALF_WORD]! - this.#head) & 0xffff;
  }

  take(): ProvidedBuffer | null {
    if (this.count === 0) return null;
    const slot = this.#head & (this.#entries - 1);
    this.#head = (this.#head + 1) & 0xffff;
    const at = slot * ENTRY_WORDS;
    return {
      id: this.#halfWords[slot * ENTRY_HALF_WORDS + BUFFER_ID_HALF_WORD]!,
      address: this.#words[at]! + this.#words[at + 1]! * 0x1_0000_0000,
      length: this.#words[at + 2]!,
    };
  }
}

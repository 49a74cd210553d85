/**
 * A ring of buffers from which the kernel picks one when data has come (io_uring_setup_buf_ring(3)): idle connections
 * hold no memory.
 *
 * An entry is { u64 address, u32 length, u16 bufferId, u16 reserved }. The reserved half word of entry 0 is the tail,
 * so a buffer's number is written as u16 and never as half of a u32.
 */
const ENTRY_WORDS = 4;
const ENTRY_HALF_WORDS = 8;
const BUFFER_ID_HALF_WORD = 6;
const TAIL_HALF_WORD = 7;

export class ProvidedBuffers {
  /** The buffer group that `recvSelect` and `recvMultishot` name. */
  readonly group: number;
  readonly #mask: number;
  readonly #words: Uint32Array;
  readonly #halfWords: Uint16Array;
  #tail = 0;

  /**
   * @param memory entries * 16 bytes, page-aligned, known to the kernel. Comes from `Ring.registerBufferRing` (or a
   * simulation).
   */
  constructor(group: number, memory: ArrayBuffer) {
    this.group = group;
    this.#mask = memory.byteLength / 16 - 1;
    this.#words = new Uint32Array(memory);
    this.#halfWords = new Uint16Array(memory);
  }

  /**
   * Gives a buffer to the kernel, at the next `publish`. The caller keeps count: never more buffers in the ring than it
   * has entries. `bufferId` (u16) comes back in the CQE (`completionFlags >>> 16`, with CQE_F_BUFFER); until then the
   * memory is the kernel's.
   */
  add(bufferId: number, address: number, length: number): void {
    const slot = this.#tail & this.#mask;
    const at = slot * ENTRY_WORDS;
    const words = this.#words;
    words[at] = address >>> 0;
    words[at + 1] = (address / 0x1_0000_0000) >>> 0;
    words[at + 2] = length;
    this.#halfWords[slot * ENTRY_HALF_WORDS + BUFFER_ID_HALF_WORD] = bufferId;
    this.#tail = (this.#tail + 1) & 0xffff;
  }

  /** Lets the kernel see what was added: one store for a whole batch. */
  publish(): void {
    Atomics.store(this.#halfWords, TAIL_HALF_WORD, this.#tail);
  }
}

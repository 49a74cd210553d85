/**
 * The receiving half of a connection: cuts what came into PDUs. One large buffer; whole PDUs are looked at where they lie; what is
 * incomplete at its end is moved to the front, the next bytes go behind it:
 *
 *     |consumed PDUs ...............|incomplete|   free   |
 *     0                          #begin      #end       capacity
 *
 * The data of a Data-In is the exception: it is passed on piece by piece as it comes, and need not fit.
 * Digests are computed in one batch per call of `parse`; a wrong one is noticed after its PDU was acted on, which is
 * soon enough: it ends the run.
 */
import { crc32cBatch } from "io-uring-node";
import type { Arena } from "../../dataplane/arena.js";
import { BHS_LENGTH, OPCODE_DATA_IN, paddedLength } from "../../dataplane/wire/bhs.js";
import { InitiatorError } from "./errors.js";

const DIGEST_BYTES = 4;
const JOB_WORDS = 4;
const JOBS_MAX = 1024;
/** A data segment goes on in a later piece: its digest is not known yet. */
const NO_DIGEST_YET = -1;

/** Who acts on the PDUs. */
export interface PduSink {
  /** Header of a Data-In at `header` (arena offset); its data follows by `dataIn`, its end by `dataInEnd`. */
  dataInBegin(header: number, length: number): void;
  /** The next `length` bytes of that data segment are at `offset`, for the duration of the call. */
  dataIn(offset: number, length: number): void;
  dataInEnd(): void;
  /** Any other PDU, whole. */
  pdu(opcode: number, header: number, data: number, length: number): void;
}

export class Receiver {
  headerDigest = false;
  dataDigest = false;
  readonly #arena: Arena;
  readonly #view: DataView;
  readonly #base: number;
  readonly #capacity: number;
  readonly #sink: PduSink;
  #begin = 0;
  #end = 0;
  /** Bytes of the current Data-In's data, and of its padding and digest, that are still to come. */
  #dataLeft = 0;
  #trailerLeft = 0;
  /** CRC32C of the current Data-In's data so far. */
  #crc = 0;
  readonly #jobs = new Uint32Array(JOBS_MAX * JOB_WORDS);
  /** What the target says the digest is. */
  readonly #expected = new Float64Array(JOBS_MAX);
  #jobCount = 0;

  constructor(arena: Arena, capacity: number, sink: PduSink) {
    this.#arena = arena;
    this.#view = arena.view;
    this.#base = arena.take(capacity, 4096);
    this.#capacity = capacity;
    this.#sink = sink;
  }

  /** Arena offset where the next bytes are to be received, and how many there is room for. */
  get freeOffset(): number {
    return this.#base + this.#end;
  }
  get freeLength(): number {
    return this.#capacity - this.#end;
  }

  /** `length` bytes have come. */
  received(length: number): void {
    this.#end += length;
    this.#parse();
    if (this.#jobCount > 0) this.#checkDigests();
    if (this.#begin === this.#end) {
      this.#begin = this.#end = 0;
    } else if (this.#begin > 0) {
      this.#arena.bytes.copyWithin(this.#base, this.#base + this.#begin, this.#base + this.#end);
      this.#end -= this.#begin;
      this.#begin = 0;
    }
    if (this.#end === this.#capacity) throw new InitiatorError("a PDU that is longer than the receive buffer");
  }

  #parse(): void {
    const view = this.#view;
    const headerBytes = BHS_LENGTH + (this.headerDigest ? DIGEST_BYTES : 0);
    for (;;) {
      if (this.#dataLeft > 0 && !this.#takeData()) return;
      if (this.#trailerLeft > 0 && !this.#takeTrailer()) return;
      if (this.#end - this.#begin < headerBytes) return;
      const header = this.#base + this.#begin;
      const lengths = view.getUint32(header + 4);
      if (lengths >>> 24 !== 0) throw new InitiatorError("a PDU of the target with an AHS (RFC 7143 section 11.2)");
      const length = lengths & 0xffffff;
      const opcode = view.getUint8(header) & 0x3f;
      const trailer = paddedLength(length) - length + (this.dataDigest && length > 0 ? DIGEST_BYTES : 0);
      if (opcode !== OPCODE_DATA_IN && this.#end - this.#begin < headerBytes + length + trailer) return;
      if (this.headerDigest) this.#addJob(header, BHS_LENGTH, 0, view.getUint32(header + BHS_LENGTH, true));
      this.#begin += headerBytes;
      if (opcode === OPCODE_DATA_IN) {
        this.#sink.dataInBegin(header, length);
        this.#dataLeft = length;
        this.#trailerLeft = trailer;
        this.#crc = 0;
        if (length === 0) this.#sink.dataInEnd();
        continue;
      }
      const data = header + headerBytes;
      this.#begin += length + trailer;
      if (this.dataDigest && length > 0) {
        const padded = paddedLength(length);
        this.#addJob(data, padded, 0, view.getUint32(data + padded, true));
      }
      this.#sink.pdu(opcode, header, data, length);
    }
  }

  /** Passes on what is there of the data segment. False: more has to come first. */
  #takeData(): boolean {
    const offset = this.#base + this.#begin;
    const length = Math.min(this.#dataLeft, this.#end - this.#begin);
    if (length === 0) return false;
    this.#sink.dataIn(offset, length);
    this.#begin += length;
    this.#dataLeft -= length;
    if (this.#dataLeft > 0) {
      if (this.dataDigest) this.#addJob(offset, length, this.#crc, NO_DIGEST_YET);
      return false;
    }
    if (this.#trailerLeft === 0) {
      this.#sink.dataInEnd();
      return true;
    }
    if (!this.dataDigest) return true;
    // The last piece: padding and digest behind it may not have come yet, so its CRC waits in #crc for them.
    const trailer = this.#trailerLeft;
    if (trailer === DIGEST_BYTES && this.#end - this.#begin >= trailer) {
      this.#addJob(offset, length, this.#crc, this.#view.getUint32(offset + length, true));
      this.#begin += trailer;
      this.#trailerLeft = 0;
      this.#sink.dataInEnd();
    } else {
      this.#addJob(offset, length, this.#crc, NO_DIGEST_YET);
      // A later job needs this one's result as its seed.
      this.#checkDigests();
    }
    return true;
  }

  /** Padding and digest of a Data-In. */
  #takeTrailer(): boolean {
    const length = this.#trailerLeft;
    if (this.#end - this.#begin < length) return false;
    const offset = this.#base + this.#begin;
    if (this.dataDigest) {
      const padding = length - DIGEST_BYTES;
      this.#addJob(offset, padding, this.#crc, this.#view.getUint32(offset + padding, true));
    }
    this.#begin += length;
    this.#trailerLeft = 0;
    this.#sink.dataInEnd();
    return true;
  }

  #addJob(offset: number, length: number, seed: number, expected: number): void {
    if (this.#jobCount === JOBS_MAX) this.#checkDigests();
    const job = this.#jobCount * JOB_WORDS;
    this.#jobs[job] = offset;
    this.#jobs[job + 1] = length;
    this.#jobs[job + 2] = seed;
    this.#expected[this.#jobCount++] = expected;
  }

  #checkDigests(): void {
    crc32cBatch(this.#arena.bytes, this.#jobs, this.#jobCount);
    for (let job = 0; job < this.#jobCount; job++) {
      const crc = this.#jobs[job * JOB_WORDS + 3]!;
      const expected = this.#expected[job]!;
      if (expected === NO_DIGEST_YET) this.#crc = crc;
      else if (expected !== crc) {
        throw new InitiatorError(`digest error: ${crc.toString(16)} computed, ${expected.toString(16)} received`);
      }
    }
    this.#jobCount = 0;
  }
}

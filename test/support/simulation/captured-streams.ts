/** A capture of all that a simulated shard receives and sends, whose records must make whole streams of sound PDUs. */
import assert from "node:assert/strict";
import { Consumer } from "sharedarraybuffer-ring";
import {
  CAPTURE_CONNECTION,
  CAPTURE_DROPPED,
  CAPTURE_HEADER_BYTES,
  CAPTURE_INDEX,
  CAPTURE_NUMBER,
  CAPTURE_POSITION,
  CAPTURE_RECEIVED,
  CAPTURE_WIRE_LENGTH,
} from "../../../dataplane/capture/record.js";
import type { CaptureSelection } from "../../../dataplane/messages.js";

const OPCODE_MASK = 0x3f;
const FIRST_TARGET_OPCODE = 0x20;
const BHS_LENGTH = 48;

export class CapturedStreams {
  readonly selection: CaptureSelection;
  readonly #consumer: Consumer;
  /** By connection and direction: where the next PDU begins. */
  readonly #next = new Map<string, number>();

  constructor(ring: SharedArrayBuffer, isWhole: boolean) {
    this.selection = { number: 1, isWhole, sessionId: null, unitIndex: null };
    this.#consumer = new Consumer(ring);
  }

  /** Once a turn: so there is always room. */
  check(): void {
    while (this.#consumer.next()) this.#checkRecord();
    this.#consumer.release();
  }

  #checkRecord(): void {
    const { view, offset, length } = this.#consumer;
    const kind = view.getUint8(offset);
    const index = view.getUint16(offset + CAPTURE_INDEX);
    assert.equal(view.getUint32(offset + CAPTURE_NUMBER), this.selection.number);
    assert.equal(view.getUint32(offset + CAPTURE_DROPPED), 0, "there was room");
    if (kind === CAPTURE_CONNECTION) {
      // Another connection than the one that had this index before.
      for (const isReceived of [true, false]) this.#next.delete(`${index} ${isReceived}`);
      return;
    }
    const isReceived = kind === CAPTURE_RECEIVED;
    const captured = length - CAPTURE_HEADER_BYTES;
    const wireLength = view.getUint32(offset + CAPTURE_WIRE_LENGTH);
    assert(captured >= BHS_LENGTH && captured <= wireLength, `${captured} of ${wireLength} bytes`);
    const opcode = view.getUint8(offset + CAPTURE_HEADER_BYTES) & OPCODE_MASK;
    if (!isReceived) {
      assert(opcode >= FIRST_TARGET_OPCODE, `a target sends opcode ${opcode}`);
      assert(!this.selection.isWhole || captured === wireLength, "what is sent is all there");
    }
    const key = `${index} ${isReceived}`;
    const position = view.getUint32(offset + CAPTURE_POSITION);
    assert.equal(position, this.#next.get(key) ?? position, "nothing is missing in between");
    // Modulo 2^32, as TCP counts.
    this.#next.set(key, (position + wireLength) >>> 0);
  }
}

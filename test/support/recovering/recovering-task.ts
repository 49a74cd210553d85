/** A SCSI command whose PDUs may be lost, come twice, or come on another connection than it was sent on. */
import assert from "node:assert/strict";
import type { SessionParametersRecord } from "../../../dataplane/messages.js";
import { digestOf } from "../crc32c.js";
import { FLAG_ACKNOWLEDGE, lunBytes, type ReceivedPdu, TAG_NONE } from "../pdu.js";
import type { Command, Outcome } from "../simulation/initiator/command.js";
import type { SequenceOwner } from "../simulation/initiator/outbox.js";
import type { RecoveringConnection } from "./recovering-connection.js";

const RESPONSE_COMPLETED_AT_TARGET = 0;

interface DataPdu {
  readonly offset: number;
  readonly length: number;
  readonly digest: string;
}

/** The target asks for an acknowledgment of its Data-In (RFC 7143 section 11.7.2). */
interface AcknowledgmentRequest {
  readonly targetTransferTag: number;
  readonly lun: Buffer;
}

interface Response {
  readonly outcome: Omit<Outcome, "data">;
  readonly expDataSN: number;
  readonly snackTag: number;
}

export class RecoveringTask implements SequenceOwner {
  readonly command: Command;
  readonly initiatorTaskTag: number;
  /** Of an immediate command: that of the next one. */
  readonly cmdSN: number;
  readonly attribute: number;
  readonly isImmediate: boolean;
  /** Bytes that go with the command, and those that go unasked, these included. */
  readonly immediateEnd: number;
  readonly unsolicitedEnd: number;
  /** To which it is allegiant. */
  connection: RecoveringConnection;
  /** When something was sent or received for it last. */
  progressUs: number;
  /** How often it was helped on since. */
  nudges = 0;
  /** Something of it was asked for again: what the target has not kept ends it. */
  wasAskedAgain = false;
  /** Some of its data was damaged on its way to the target. */
  wasDamaged = false;
  /** The target has not kept what was asked for. */
  isRefused = false;
  isBeingAborted = false;
  /** ABORT TASK was sent for it, whatever became of that. */
  mayBeAborted = false;
  /** A function that ends many tasks may have ended it without a word. */
  mayVanish = false;
  /** TASK REASSIGN for it was sent so often and has not been answered. */
  reassigns = 0;
  /** From when on the target may have given it up, because it was not reassigned in time. */
  expiresUs = Number.POSITIVE_INFINITY;
  /** Of the R-Data SNACK that was sent last. */
  snackTag = 0;
  /** Data-In before has been acknowledged, by DataACK or TASK REASSIGN. */
  acknowledged = 0;
  acknowledgmentRequest: AcknowledgmentRequest | null = null;
  outstandingR2T = 0;
  isSendingUnsolicited = false;
  readonly #parameters: SessionParametersRecord;
  readonly #buffer: Uint8Array;
  readonly #dataPdus = new Map<number, DataPdu>();
  #nextDataSN = 0;
  readonly #r2ts = new Set<number>();
  #response: Response | null = null;

  constructor(
    command: Command,
    numbers: Pick<RecoveringTask, "initiatorTaskTag" | "cmdSN" | "attribute" | "isImmediate">,
    unsolicited: { readonly immediate: number; readonly end: number },
    connection: RecoveringConnection,
    parameters: SessionParametersRecord,
    nowUs: number,
  ) {
    this.command = command;
    this.initiatorTaskTag = numbers.initiatorTaskTag;
    this.cmdSN = numbers.cmdSN;
    this.attribute = numbers.attribute;
    this.isImmediate = numbers.isImmediate;
    this.immediateEnd = unsolicited.immediate;
    this.unsolicitedEnd = unsolicited.end;
    this.connection = connection;
    this.progressUs = nowUs;
    this.#parameters = parameters;
    this.#buffer = new Uint8Array(command.reads ? command.expectedLength : 0);
  }

  /** Of the first Data-In that is missing. */
  get nextDataSN(): number {
    return this.#nextDataSN;
  }

  get hasResponse(): boolean {
    return this.#response !== null;
  }

  /** DataSNs before which something is missing, so far as is known: a run for a SNACK; null: none. */
  get missingData(): { readonly begRun: number; readonly runLength: number } | null {
    let end = this.#response === null ? 0 : this.#response.expDataSN;
    for (const dataSN of this.#dataPdus.keys()) end = Math.max(end, dataSN);
    const begRun = this.#nextDataSN;
    let runLength = 0;
    while (begRun + runLength < end && !this.#dataPdus.has(begRun + runLength)) runLength++;
    return runLength === 0 ? null : { begRun, runLength };
  }

  /** R2TSNs that are missing before the last one that came. */
  get missingR2T(): number | null {
    let last = -1;
    for (const r2tSN of this.#r2ts) last = Math.max(last, r2tSN);
    for (let r2tSN = 0; r2tSN < last; r2tSN++) if (!this.#r2ts.has(r2tSN)) return r2tSN;
    return null;
  }

  get nextR2TSN(): number {
    let next = 0;
    while (this.#r2ts.has(next)) next++;
    return next;
  }

  /** RFC 7143 section 11.7. What comes twice is the same both times. The last may bring the status. False: it has come before. */
  dataIn(pdu: ReceivedPdu): boolean {
    const { data } = pdu;
    const dataSN = pdu.field("dataSN");
    const offset = pdu.field("bufferOffset");
    assert(this.command.reads, "Data-In for a command that reads");
    assert(data.length > 0 && offset + data.length <= this.#buffer.length, "no more data comes than is expected");
    const digest = digestOf(data).toString("hex");
    const before = this.#dataPdus.get(dataSN);
    if (before !== undefined) {
      assert.deepEqual({ offset, length: data.length, digest }, before, `DataSN ${dataSN} comes again as it was`);
      return false;
    }
    // Acknowledged long ago: it was on its way still.
    if (dataSN < this.acknowledged) return false;
    this.#dataPdus.set(dataSN, { offset, length: data.length, digest });
    this.#buffer.set(data, offset);
    while (this.#dataPdus.has(this.#nextDataSN)) this.#nextDataSN++;
    if ((pdu.flags & FLAG_ACKNOWLEDGE) !== 0) {
      this.acknowledgmentRequest = { targetTransferTag: pdu.targetTransferTag, lun: Buffer.from(pdu.lun) };
    }
    if (pdu.hasStatus) this.#response = { outcome: outcomeOf(pdu), expDataSN: dataSN + 1, snackTag: 0 };
    return true;
  }

  /** Section 11.8. What is asked for; null: it has been asked for before. */
  r2t(pdu: ReceivedPdu): { readonly offset: number; readonly end: number; readonly tag: number } | null {
    const offset = pdu.field("bufferOffset");
    const length = pdu.field("desiredDataTransferLength");
    assert(this.command.writes, "R2T for a command that writes");
    assert(pdu.lun.equals(lunBytes(this.command.lun)), "an R2T names the LUN of its command");
    assert.notEqual(pdu.targetTransferTag, TAG_NONE, "an R2T has a tag");
    assert(length > 0 && length <= this.#parameters.maxBurstLength, "an R2T asks for up to MaxBurstLength");
    assert(offset + length <= this.command.expectedLength, "no more is asked for than there is");
    const r2tSN = pdu.field("r2tSN");
    if (this.#r2ts.has(r2tSN)) return null;
    this.#r2ts.add(r2tSN);
    this.outstandingR2T++;
    return { offset, end: offset + length, tag: pdu.targetTransferTag };
  }

  /** Section 11.4. */
  response(pdu: ReceivedPdu): void {
    assert.equal(pdu.response, RESPONSE_COMPLETED_AT_TARGET, "the command was completed at the target");
    const snackTag = pdu.field("snackTag");
    // Data is coming anew, and this was sent before.
    if (snackTag !== this.snackTag) return;
    this.#response = {
      outcome: outcomeOf(pdu),
      expDataSN: this.command.reads ? pdu.field("expDataSN") : 0,
      snackTag,
    };
  }

  /** Response and data are there. */
  get isComplete(): boolean {
    return this.#response !== null && this.#nextDataSN >= this.#response.expDataSN;
  }

  get outcome(): Outcome {
    const { outcome, expDataSN } = this.#response!;
    assert.equal(this.#nextDataSN, expDataSN, "ExpDataSN counts the Data-In PDUs");
    let end = 0;
    for (let dataSN = 0; dataSN < expDataSN; dataSN++) {
      const { offset, length } = this.#dataPdus.get(dataSN)!;
      assert.equal(offset, end, "Data-In is numbered in order, without gaps");
      end += length;
    }
    return { ...outcome, data: this.#buffer.subarray(0, end) };
  }

  /** All Data-In from `dataSN` on comes anew, cut differently perhaps, and then the response. */
  restart(dataSN: number): void {
    for (const known of [...this.#dataPdus.keys()]) if (known >= dataSN) this.#dataPdus.delete(known);
    this.#nextDataSN = dataSN;
    this.#r2ts.clear();
    this.#response = null;
    this.acknowledgmentRequest = null;
    this.outstandingR2T = 0;
    this.isSendingUnsolicited = false;
    this.wasAskedAgain = true;
  }
}

function outcomeOf({ status, sense, residual }: ReceivedPdu): Response["outcome"] {
  return { status, sense: Buffer.from(sense), residual };
}

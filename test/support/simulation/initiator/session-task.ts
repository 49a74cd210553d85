/** A SCSI command on its way: checks what the target sends for it, and remembers what it asked for. */
import assert from "node:assert/strict";
import type { SessionParametersRecord } from "../../../../dataplane/messages.js";
import { lunBytes, type ReceivedPdu, TAG_NONE } from "../../pdu.js";
import type { Command, Outcome } from "./command.js";
import type { SequenceOwner } from "./outbox.js";

const RESPONSE_COMPLETED_AT_TARGET = 0;

export class SessionTask implements SequenceOwner {
  readonly command: Command;
  readonly initiatorTaskTag: number;
  readonly cmdSN: number;
  readonly immediate: boolean;
  readonly sentUs: number;
  /** Bytes that are sent without being asked for, immediate data included. */
  readonly unsolicitedEnd: number;
  /** A reset or an abort that is under way may end it without a word. */
  mayVanish = false;
  /** A task management function for it is under way. */
  isManaged = false;
  outstandingR2T = 0;
  isSendingUnsolicited = false;
  readonly #parameters: SessionParametersRecord;
  readonly #buffer: Uint8Array;
  #received = 0;
  #dataSN = 0;
  #burst = 0;
  #r2tSN = 0;
  #requestedEnd: number;

  constructor(
    command: Command,
    initiatorTaskTag: number,
    cmdSN: number,
    immediate: boolean,
    unsolicitedEnd: number,
    sentUs: number,
    parameters: SessionParametersRecord,
  ) {
    this.command = command;
    this.initiatorTaskTag = initiatorTaskTag;
    this.cmdSN = cmdSN;
    this.immediate = immediate;
    this.unsolicitedEnd = unsolicitedEnd;
    this.sentUs = sentUs;
    this.#parameters = parameters;
    this.#buffer = new Uint8Array(command.reads ? command.expectedLength : 0);
    this.#requestedEnd = unsolicitedEnd;
  }

  /** RFC 7143 section 11.7. */
  dataIn(pdu: ReceivedPdu): void {
    const { data } = pdu;
    const { maxBurstLength } = this.#parameters;
    assert(this.command.reads, "Data-In for a command that reads");
    assert(data.length > 0, "a Data-In has data");
    assert.equal(pdu.field("dataSN"), this.#dataSN, "DataSN counts from 0");
    assert.equal(pdu.field("bufferOffset"), this.#received, "Data-In comes in order, without gaps");
    assert(this.#received + data.length <= this.#buffer.length, "no more data comes than is expected");
    this.#dataSN++;
    this.#buffer.set(data, this.#received);
    this.#received += data.length;
    this.#burst += data.length;
    assert(this.#burst <= maxBurstLength, "a sequence is no longer than MaxBurstLength");
    if (pdu.final) this.#burst = 0;
    else assert(this.#burst < maxBurstLength, "F ends a sequence of MaxBurstLength");
    if (pdu.hasStatus) assert(pdu.final, "the PDU with the status is the last of its sequence");
  }

  /** Section 11.8. Returns the range that is asked for. */
  r2t(pdu: ReceivedPdu): { readonly offset: number; readonly end: number; readonly tag: number } {
    const offset = pdu.field("bufferOffset");
    const length = pdu.field("desiredDataTransferLength");
    assert(this.command.writes, "R2T for a command that writes");
    assert(pdu.lun.equals(lunBytes(this.command.lun)), "an R2T names the LUN of its command");
    assert.equal(pdu.field("r2tSN"), this.#r2tSN, "R2TSN counts from 0");
    assert.notEqual(pdu.targetTransferTag, TAG_NONE, "an R2T has a tag");
    assert(length > 0 && length <= this.#parameters.maxBurstLength, "an R2T asks for up to MaxBurstLength");
    assert.equal(offset, this.#requestedEnd, "R2Ts come in order, without gaps (DataSequenceInOrder=Yes)");
    assert(offset + length <= this.command.expectedLength, "no more is asked for than there is");
    this.#r2tSN++;
    this.#requestedEnd += length;
    this.outstandingR2T++;
    assert(this.outstandingR2T <= this.#parameters.maxOutstandingR2T, "no more R2Ts than MaxOutstandingR2T");
    return { offset, end: offset + length, tag: pdu.targetTransferTag };
  }

  /** The PDU with the status, be it a response (section 11.4) or the last Data-In. */
  end(pdu: ReceivedPdu, isResponse: boolean): Outcome {
    if (isResponse) {
      assert.equal(pdu.response, RESPONSE_COMPLETED_AT_TARGET, "the command was completed at the target");
      assert.equal(pdu.field("expDataSN"), this.#dataSN, "ExpDataSN counts the Data-In PDUs");
    }
    if (pdu.status === 0) {
      assert.equal(this.outstandingR2T, 0, "GOOD comes when all data that was asked for is sent");
      assert(!this.isSendingUnsolicited, "GOOD comes when all unsolicited data is sent");
    }
    const data = this.#buffer.subarray(0, this.#received);
    return { status: pdu.status, sense: pdu.sense, residual: pdu.residual, data };
  }
}

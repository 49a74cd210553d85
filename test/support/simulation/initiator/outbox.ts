/**
 * What an initiator sends: requests in the order in which they were made; between them the data of its commands, in PDUs
 * of any size, the sequences of different commands mixed (RFC 7143 section 4.2.5.2):
 *
 *     requests      C1 C2 N C3 ...         in order: their CmdSNs are
 *     unsolicited   D1 D1 D2 ...           in the order of their commands
 *     solicited     D5 D7 D5 ...           in order for each command, otherwise as it comes
 */
import { type FieldName, OPCODE_DATA_OUT, TAG_NONE } from "../../pdu.js";
import type { Random } from "../random.js";
import type { Command } from "./command.js";

/** PDUs that the data of one sequence is cut into, at most. */
const PDUS_PER_SEQUENCE_MAX = 40;

export interface OutgoingPdu {
  readonly fields: Partial<Record<FieldName, number>> & { readonly opcode: number };
  readonly lun?: number | Uint8Array;
  readonly cdb?: Uint8Array;
  readonly immediate?: boolean;
  readonly data?: Uint8Array;
}

/** Makes the wire form; called when the PDU is sent. */
export type Encode = (pdu: OutgoingPdu) => Buffer;

/** A command that has data to send. */
export interface SequenceOwner {
  readonly command: Command;
  readonly initiatorTaskTag: number;
  /** R2Ts whose data is not sent in full. */
  outstandingR2T: number;
  /** Unsolicited Data-Out PDUs are still to be sent. */
  isSendingUnsolicited: boolean;
}

/** Where it goes. */
export interface ByteSink {
  readonly room: number;
  write(bytes: Uint8Array): number;
}

export interface Sequence {
  readonly task: SequenceOwner;
  readonly targetTransferTag: number;
  offset: number;
  readonly end: number;
  dataSN: number;
}

export class Outbox {
  readonly #random: Random;
  readonly #encode: Encode;
  /** What the target receives in one PDU. */
  readonly #dataMax: number;
  readonly #requests: (() => OutgoingPdu)[] = [];
  #unsolicited: Sequence[] = [];
  #solicited: Sequence[] = [];
  /** A PDU that is being sent, from `#sent` on. */
  #current: Buffer | null = null;
  #sent = 0;
  /** Bytes that may still be sent; then `exhausted` is called. */
  limit = Number.POSITIVE_INFINITY;
  exhausted: () => void = () => {};

  constructor(random: Random, encode: Encode, dataMax: number) {
    this.#random = random;
    this.#encode = encode;
    this.#dataMax = dataMax;
  }

  /** `make` is called when the request's turn has come. */
  request(make: () => OutgoingPdu): void {
    this.#requests.push(make);
  }

  unsolicited(sequence: Sequence): void {
    this.#unsolicited.push(sequence);
  }

  solicited(sequence: Sequence): void {
    this.#solicited.push(sequence);
  }

  /** Nothing more is sent that the target has asked for of these tasks. */
  stopSolicited(isStopped: (task: SequenceOwner) => boolean): void {
    this.#solicited = this.#solicited.filter(({ task }) => !isStopped(task));
  }

  /** The task is over: what was not sent of its data is not sent any more. */
  forget(task: SequenceOwner): void {
    this.#unsolicited = this.#unsolicited.filter((sequence) => sequence.task !== task);
    this.#solicited = this.#solicited.filter((sequence) => sequence.task !== task);
  }

  get isEmpty(): boolean {
    return this.#current === null && this.#requests.length + this.#unsolicited.length + this.#solicited.length === 0;
  }

  /** Sends as much as the socket takes. */
  pump(socket: ByteSink): void {
    while (socket.room > 0) {
      this.#current ??= this.#next();
      if (this.#current === null) return;
      const most = Math.min(this.#current.length, this.#sent + this.limit);
      const count = socket.write(this.#current.subarray(this.#sent, most));
      this.#sent += count;
      this.limit -= count;
      if (this.#sent === this.#current.length) {
        this.#current = null;
        this.#sent = 0;
      }
      if (this.limit === 0) {
        this.exhausted();
        return;
      }
    }
  }

  #next(): Buffer | null {
    const choices: (() => OutgoingPdu)[] = [];
    if (this.#requests.length > 0) choices.push(() => this.#requests.shift()!());
    if (this.#unsolicited.length > 0) choices.push(() => this.#dataOut(this.#unsolicited, 0));
    if (this.#solicited.length > 0) choices.push(() => this.#dataOut(this.#solicited, this.#pickSolicited()));
    return choices.length === 0 ? null : this.#encode(this.#random.pick(choices)());
  }

  /** The first sequence of any task. */
  #pickSolicited(): number {
    const { task } = this.#random.pick(this.#solicited);
    return this.#solicited.findIndex((sequence) => sequence.task === task);
  }

  #dataOut(sequences: Sequence[], at: number): OutgoingPdu {
    const sequence = sequences[at]!;
    const { task, offset, end } = sequence;
    const left = end - offset;
    const most = Math.min(left, this.#dataMax);
    const least = Math.min(most, Math.ceil(left / PDUS_PER_SEQUENCE_MAX));
    const length = this.#random.chance(0.6) ? most : this.#random.between(least, most);
    const isLast = offset + length === end;
    const fields = {
      opcode: OPCODE_DATA_OUT,
      flags: isLast ? 0x80 : 0,
      initiatorTaskTag: task.initiatorTaskTag,
      targetTransferTag: sequence.targetTransferTag,
      dataSN: sequence.dataSN,
      bufferOffset: offset,
    };
    sequence.offset += length;
    sequence.dataSN++;
    if (isLast) {
      sequences.splice(at, 1);
      if (sequence.targetTransferTag === TAG_NONE) task.isSendingUnsolicited = false;
      else task.outstandingR2T--;
    }
    return { fields, lun: task.command.lun, data: task.command.data(offset, length) };
  }
}

/**
 * What the target owes a recovering initiator on one connection, by what the wire has really carried, before anything of it is lost:
 * every status comes in its turn, and what a SNACK has asked for comes again at once, or the SNACK is rejected. An initiator that only
 * looked at how its commands end would help itself, by asking once more.
 */
import assert from "node:assert/strict";
import { serialAdd, serialLess } from "../../../dataplane/wire/serial.js";
import { OPCODE_DATA_IN, OPCODE_R2T, OPCODE_REJECT, OPCODE_SNACK_REQUEST, type ReceivedPdu } from "../pdu.js";
import { describe, takesStatSN } from "../simulation/initiator/sequence-numbers.js";

/** Something that was asked for again. */
interface Due {
  readonly what: string;
  readonly untilUs: number;
  /** The PDU is what was asked for. */
  readonly isPaidBy: (pdu: ReceivedPdu) => boolean;
  /** Initiator Task Tag of the SNACK; of that for a status, the reserved one. */
  readonly initiatorTaskTag: number;
  /** What is acknowledged does not come again: a status, Data-In. */
  readonly statSN: number | null;
  readonly dataSN: number | null;
}

export class Dues {
  /** Longest time that an answer takes; null: nobody knows. */
  readonly #answerUs: number | null;
  #nextStatSN: number;
  #dues: Due[] = [];

  /** `statSN`: of the first status of the connection. */
  constructor(statSN: number, answerUs: number | null) {
    this.#nextStatSN = statSN;
    this.#answerUs = answerUs;
  }

  status(statSN: number, nowUs: number): void {
    const isPaidBy = (pdu: ReceivedPdu): boolean => takesStatSN(pdu) && pdu.statSN === statSN;
    this.#add({ what: `StatSN ${statSN}`, isPaidBy, initiatorTaskTag: 0xffffffff, statSN, dataSN: null }, nowUs);
  }

  dataIn(initiatorTaskTag: number, dataSN: number, nowUs: number): void {
    const isPaidBy = (pdu: ReceivedPdu): boolean => isOf(pdu, OPCODE_DATA_IN) && pdu.field("dataSN") === dataSN;
    const isOf = (pdu: ReceivedPdu, opcode: number): boolean =>
      pdu.opcode === opcode && pdu.initiatorTaskTag === initiatorTaskTag;
    const what = `DataSN ${dataSN} of ${initiatorTaskTag}`;
    this.#add({ what, isPaidBy, initiatorTaskTag, statSN: null, dataSN }, nowUs);
  }

  /** Any R2T of the task will do: one that was not answered in time is replaced by another. */
  r2t(initiatorTaskTag: number, nowUs: number): void {
    const isPaidBy = (pdu: ReceivedPdu): boolean =>
      pdu.opcode === OPCODE_R2T && pdu.initiatorTaskTag === initiatorTaskTag;
    this.#add({ what: `an R2T of ${initiatorTaskTag}`, isPaidBy, initiatorTaskTag, statSN: null, dataSN: null }, nowUs);
  }

  #add(due: Omit<Due, "untilUs">, nowUs: number): void {
    if (this.#answerUs !== null) this.#dues.push({ ...due, untilUs: nowUs + this.#answerUs });
  }

  /** A PDU has come, whatever becomes of it. */
  came(pdu: ReceivedPdu): void {
    if (takesStatSN(pdu)) {
      assert(!serialLess(this.#nextStatSN, pdu.statSN), `StatSN ${this.#nextStatSN} was left out: ${describe(pdu)}`);
      if (pdu.statSN === this.#nextStatSN) this.#nextStatSN = serialAdd(this.#nextStatSN, 1);
    }
    const paid = this.#dues.find(({ isPaidBy }) => isPaidBy(pdu));
    if (paid !== undefined) {
      // A status that follows data which is sent anew comes once, however often it was asked for.
      this.#dues = this.#dues.filter((due) => due !== paid && (due.statSN === null || due.statSN !== paid.statSN));
    }
    if (pdu.opcode === OPCODE_REJECT && (pdu.data[0]! & 0x3f) === OPCODE_SNACK_REQUEST) {
      this.forget(pdu.data.readUInt32BE(16));
    }
  }

  /** ExpStatSN that was sent. */
  acknowledged(expStatSN: number): void {
    if (this.#dues.length === 0) return;
    this.#dues = this.#dues.filter(({ statSN }) => statSN === null || !serialLess(statSN, expStatSN));
  }

  /** A DataACK acknowledges the task's Data-In below `dataSN`. */
  dataAcknowledged(initiatorTaskTag: number, dataSN: number): void {
    this.#dues = this.#dues.filter(
      (due) => due.initiatorTaskTag !== initiatorTaskTag || due.dataSN === null || due.dataSN >= dataSN,
    );
  }

  /** The task has ended, goes on elsewhere or begins anew, or a SNACK for it was rejected. */
  forget(initiatorTaskTag: number): void {
    this.#dues = this.#dues.filter((due) => due.initiatorTaskTag !== initiatorTaskTag);
  }

  /** At this moment the connection works, and nothing that was sent is still on its way for long. */
  check(nowUs: number): void {
    for (const { what, untilUs } of this.#dues) assert(nowUs < untilUs, `${what} was asked for and did not come again`);
  }
}

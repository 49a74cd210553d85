/** StatSN and the command window, as an initiator sees them (RFC 7143 section 4.2.2). */
import assert from "node:assert/strict";
import { serialAdd, serialDistance, serialLess, serialLessOrEqual } from "../../../../dataplane/wire/serial.js";
import { OPCODE_DATA_IN, OPCODE_NOP_IN, OPCODE_R2T, type ReceivedPdu, TAG_NONE } from "../../pdu.js";

export class SequenceNumbers {
  /** Of the next command that is not immediate. */
  cmdSN: number;
  /** StatSN expected next. */
  expStatSN: number;
  maxCmdSN: number;
  #expCmdSN: number;

  constructor(cmdSN: number, statSN: number) {
    this.cmdSN = cmdSN;
    this.expStatSN = statSN;
    this.#expCmdSN = cmdSN;
    this.maxCmdSN = serialAdd(cmdSN, -1);
  }

  get isOpen(): boolean {
    return serialLessOrEqual(this.cmdSN, this.maxCmdSN);
  }

  /** Commands that the target would take now, when it has taken all that was sent. */
  get windowWidth(): number {
    assert.equal(this.#expCmdSN, this.cmdSN, "the target has taken all commands");
    return serialDistance(this.#expCmdSN, serialAdd(this.maxCmdSN, 1));
  }

  /** Checks and takes over the numbers of a PDU. */
  received(pdu: ReceivedPdu): void {
    if (pdu.opcode !== OPCODE_DATA_IN || pdu.hasStatus) {
      if (pdu.statSN !== this.expStatSN)
        assert.fail(`StatSN is ${pdu.statSN}, not ${this.expStatSN}: ${describe(pdu)}`);
      if (takesStatSN(pdu)) this.expStatSN = serialAdd(this.expStatSN, 1);
    }
    const { expCmdSN, maxCmdSN } = pdu;
    assert(serialLessOrEqual(this.#expCmdSN, expCmdSN), "ExpCmdSN does not go back");
    assert(serialLessOrEqual(expCmdSN, this.cmdSN), "ExpCmdSN is no more than was sent");
    assert(!serialLess(maxCmdSN, serialAdd(expCmdSN, -1)), "MaxCmdSN is at least ExpCmdSN - 1");
    assert(serialLessOrEqual(this.maxCmdSN, maxCmdSN), "MaxCmdSN does not go back");
    this.#expCmdSN = expCmdSN;
    this.maxCmdSN = maxCmdSN;
  }
}

/**
 * R2T and NOP-In that the target starts show the next StatSN and do not take it (sections 11.8.3 and 11.19.2); Data-In
 * without status has none.
 */
export function takesStatSN(pdu: ReceivedPdu): boolean {
  if (pdu.opcode === OPCODE_DATA_IN) return pdu.hasStatus;
  return pdu.opcode !== OPCODE_R2T && !(pdu.opcode === OPCODE_NOP_IN && pdu.initiatorTaskTag === TAG_NONE);
}

export function describe(pdu: ReceivedPdu): string {
  return `opcode 0x${pdu.opcode.toString(16)}, tag 0x${pdu.initiatorTaskTag.toString(16)}`;
}

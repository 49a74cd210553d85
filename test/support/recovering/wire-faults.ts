/** What goes wrong between two ends, as probabilities per PDU, and how often it did. */
import {
  OPCODE_ASYNC_MESSAGE,
  OPCODE_DATA_IN,
  OPCODE_DATA_OUT,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_NOP_IN,
  OPCODE_NOP_OUT,
  OPCODE_R2T,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_SNACK_REQUEST,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
} from "../pdu.js";
import type { Random } from "../simulation/random.js";

export interface WireFaults {
  /** A PDU does not come, or its header digest is wrong and who receives it finds the next one all the same. */
  readonly lost: number;
  /** Of those with data. */
  readonly dataDigest: number;
  /** Of those to the target, which cannot find the next one: it closes the connection. */
  readonly headerDigest: number;
  /** The connection breaks, in the middle of a PDU as a rule. */
  readonly cut: number;
  /** The initiator gives a connection up that works, at ErrorRecoveryLevel 2: it logs it out for recovery. */
  readonly retire: number;
}

export const NO_WIRE_FAULTS: WireFaults = { lost: 0, dataDigest: 0, headerDigest: 0, cut: 0, retire: 0 };

export function randomWireFaults(random: Random): WireFaults {
  const perhaps = (most: number) => (random.chance(0.7) ? (random.below(1000) / 1000) * most : 0);
  return {
    lost: perhaps(0.12),
    dataDigest: perhaps(0.15),
    headerDigest: perhaps(0.01),
    cut: perhaps(0.03),
    retire: perhaps(0.05),
  };
}

const NAMES: Readonly<Record<number, string>> = {
  [OPCODE_NOP_OUT]: "NOP-Out",
  [OPCODE_SCSI_COMMAND]: "SCSI Command",
  [OPCODE_TASK_MANAGEMENT_REQUEST]: "Task Management Request",
  [OPCODE_TEXT_REQUEST]: "Text Request",
  [OPCODE_DATA_OUT]: "Data-Out",
  [OPCODE_LOGOUT_REQUEST]: "Logout Request",
  [OPCODE_SNACK_REQUEST]: "SNACK Request",
  [OPCODE_NOP_IN]: "NOP-In",
  [OPCODE_SCSI_RESPONSE]: "SCSI Response",
  [OPCODE_TASK_MANAGEMENT_RESPONSE]: "Task Management Response",
  [OPCODE_TEXT_RESPONSE]: "Text Response",
  [OPCODE_DATA_IN]: "Data-In",
  [OPCODE_LOGOUT_RESPONSE]: "Logout Response",
  [OPCODE_R2T]: "R2T",
  [OPCODE_ASYNC_MESSAGE]: "Asynchronous Message",
  [OPCODE_REJECT]: "Reject",
};

export function nameOf(opcode: number): string {
  return NAMES[opcode] ?? `opcode 0x${opcode.toString(16)}`;
}

/** How often each thing has happened. */
export class Tally {
  readonly #counts = new Map<string, number>();

  count(what: string): void {
    this.#counts.set(what, this.of(what) + 1);
  }

  of(what: string): number {
    return this.#counts.get(what) ?? 0;
  }

  get total(): number {
    let total = 0;
    for (const count of this.#counts.values()) total += count;
    return total;
  }

  toString(): string {
    const sorted = [...this.#counts].sort(([left], [right]) => left.localeCompare(right));
    return sorted.map(([what, count]) => `  ${String(count).padStart(7)} ${what}`).join("\n");
  }
}

/** What was done to the wire, and what the initiator did about it. */
export class Tallies {
  readonly faults = new Tally();
  readonly recoveries = new Tally();
}

/**
 * PREVENT ALLOW MEDIUM REMOVAL (SBC-4) of units whose medium is removable: the nexuses that keep it from being ejected. Each
 * prevents for itself, until it allows removal, its nexus is lost, its registration is preempted with PREEMPT AND ABORT
 * (SPC-5), the unit is reset, or the power fails.
 */

import { OPCODE_PREVENT_ALLOW_MEDIUM_REMOVAL } from "../../dataplane/scsi/table.js";
import type { Session } from "../session-registry.js";
import { GOOD } from "./answers.js";
import type { SlowCommands } from "./slow-commands.js";

const PREVENT_BYTE = 4;
const PREVENT_MASK = 0x03;

export class RemovalPrevention {
  /** unitIndex -> the sessions that prevent: of each nexus there is one at most, and it ends with it. */
  readonly #preventing = new Map<number, Set<number>>();

  serve(commands: SlowCommands): void {
    commands.register(OPCODE_PREVENT_ALLOW_MEDIUM_REMOVAL, ({ unit, session, cdb }) => {
      if ((cdb[PREVENT_BYTE]! & PREVENT_MASK) === 0) this.withdraw(unit.unitIndex, [session.sessionId]);
      else this.#prevent(unit.unitIndex, session.sessionId);
      return GOOD;
    });
  }

  isPrevented(unitIndex: number): boolean {
    return this.#preventing.has(unitIndex);
  }

  /** These sessions prevent nothing any more. */
  withdraw(unitIndex: number, sessionIds: readonly number[]): void {
    const preventing = this.#preventing.get(unitIndex);
    for (const sessionId of sessionIds) preventing?.delete(sessionId);
    if (preventing?.size === 0) this.#preventing.delete(unitIndex);
  }

  sessionClosed({ sessionId }: Session): void {
    for (const unitIndex of this.#preventing.keys()) this.withdraw(unitIndex, [sessionId]);
  }

  /** The session goes on without these units. */
  unitsLost({ sessionId }: Session, unitIndexes: readonly number[]): void {
    for (const unitIndex of unitIndexes) this.withdraw(unitIndex, [sessionId]);
  }

  unitReset(unitIndex: number): void {
    this.#preventing.delete(unitIndex);
  }

  #prevent(unitIndex: number, sessionId: number): void {
    const preventing = this.#preventing.get(unitIndex) ?? new Set();
    this.#preventing.set(unitIndex, preventing);
    preventing.add(sessionId);
  }
}

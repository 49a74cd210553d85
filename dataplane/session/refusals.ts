/**
 * Commands for which there was no task, while unsolicited data for them is still on its way: the error is told when all of that
 * has come (RFC 7143 section 11.4.2), and their turn in CmdSN order too. Until then they keep their place in the command window,
 * which bounds them.
 */
import type { Connection } from "../connection/connection.js";
import { SEQUENCE_TIMEOUT_US } from "../limits.js";
import type { Shard } from "../shard.js";
import type { DataOutPdu } from "../wire/data-out.js";
import type { ScsiCommandPdu } from "../wire/scsi-command.js";
import { SCSI_STATUS_BUSY, SCSI_STATUS_TASK_SET_FULL } from "../wire/scsi-response.js";
import type { LunMapping } from "./lun-mapping.js";
import type { Session } from "./session.js";

export interface Refusal {
  readonly connection: Connection;
  readonly initiatorTaskTag: number;
  readonly mapping: LunMapping | null;
  readonly cmdSN: number;
  readonly immediate: boolean;
  readonly expectedDataTransferLength: number;
  /** Its turn has come. */
  isDue: boolean;
  /** Unsolicited data is still to come; the last of it came then. */
  owesData: boolean;
  dataUs: number;
}

export class Refusals {
  readonly #shard: Shard;

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** The command will not be executed. `isDue`: its turn has come already. */
  add(connection: Connection, pdu: ScsiCommandPdu, isDue: boolean): void {
    const session = connection.session!;
    const refusal: Refusal = {
      connection,
      initiatorTaskTag: pdu.initiatorTaskTag,
      mapping: session.luns.get(pdu.lun) ?? null,
      cmdSN: pdu.cmdSN,
      immediate: pdu.immediate,
      expectedDataTransferLength: pdu.expectedDataTransferLength,
      isDue,
      owesData: !pdu.final,
      dataUs: this.#shard.ring.nowUs,
    };
    session.refusals.set(refusal.initiatorTaskTag, refusal);
    this.#answerIfReady(session, refusal);
  }

  /** The turn of the command with this tag has come. False: it was aborted. */
  due(session: Session, initiatorTaskTag: number): boolean {
    const refusal = session.refusals.get(initiatorTaskTag);
    if (refusal === undefined) return false;
    refusal.isDue = true;
    this.#answerIfReady(session, refusal);
    return true;
  }

  /** Unsolicited data has come. False: none that a refused command waits for. */
  dataArrived(connection: Connection, pdu: DataOutPdu): boolean {
    const session = connection.session!;
    const refusal = session.refusals.get(pdu.initiatorTaskTag);
    if (refusal === undefined || refusal.connection !== connection || !refusal.owesData) return false;
    refusal.dataUs = this.#shard.ring.nowUs;
    if (pdu.final) {
      refusal.owesData = false;
      this.#answerIfReady(session, refusal);
    }
    return true;
  }

  /** The command with this tag is aborted: it has no answer. False: there is none. */
  drop(session: Session, initiatorTaskTag: number): boolean {
    const refusal = session.refusals.get(initiatorTaskTag);
    if (refusal === undefined) return false;
    session.refusals.delete(initiatorTaskTag);
    if (refusal.owesData) session.abandon(initiatorTaskTag);
    this.#free(session, refusal);
    return true;
  }

  dropAll(session: Session, isAffected: (refusal: Refusal) => boolean): void {
    for (const [tag, refusal] of session.refusals) if (isAffected(refusal)) this.drop(session, tag);
  }

  /** Data that does not come is not waited for any longer. */
  sweep(session: Session, nowUs: number): void {
    for (const refusal of session.refusals.values()) {
      if (!refusal.owesData || nowUs - refusal.dataUs <= SEQUENCE_TIMEOUT_US) continue;
      refusal.owesData = false;
      session.abandon(refusal.initiatorTaskTag);
      this.#answerIfReady(session, refusal);
    }
  }

  #answerIfReady(session: Session, refusal: Refusal): void {
    if (!refusal.isDue || refusal.owesData) return;
    const { connection, initiatorTaskTag, expectedDataTransferLength } = refusal;
    session.refusals.delete(initiatorTaskTag);
    this.#free(session, refusal);
    const status = session.taskCount > 0 ? SCSI_STATUS_TASK_SET_FULL : SCSI_STATUS_BUSY;
    this.#shard.requests.statusOnly(connection, initiatorTaskTag, status, expectedDataTransferLength);
  }

  #free(session: Session, { isDue, immediate }: Refusal): void {
    if (isDue && !immediate) session.reopen();
  }
}

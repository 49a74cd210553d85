/** The Status Qualifier of a SCSI Response (SAM-5), which RFC 7144 gives a place in sessions of iSCSIProtocolLevel 2. */
import { PROTOCOL_LEVEL_RFC7144 } from "../limits.js";
import type { Session } from "../session/session.js";
import { SCSI_STATUS_BUSY, SCSI_STATUS_TASK_SET_FULL } from "../wire/scsi-response.js";

/** Scope 0, this I_T_L nexus; the qualifier is how long to wait before another command is sent, in units of 100 ms. */
const RETRY_SOON = 1;

/** 0: there is nothing to add to the status. */
export function statusQualifier({ parameters }: Session, status: number): number {
  if (parameters.iSCSIProtocolLevel < PROTOCOL_LEVEL_RFC7144) return 0;
  return status === SCSI_STATUS_BUSY || status === SCSI_STATUS_TASK_SET_FULL ? RETRY_SOON : 0;
}

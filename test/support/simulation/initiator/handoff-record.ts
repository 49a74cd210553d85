/** What control hands to the shard when a simulated initiator has logged in. */
import type { HandoffRecord } from "../../../../dataplane/messages.js";
import { buildHeader, OPCODE_LOGIN_RESPONSE } from "../../pdu.js";
import type { SimulatedUnit } from "../unit.js";
import type { Parameters } from "./parameters.js";

export const LOGIN_RESPONSE_TEXT = "TargetPortalGroupTag=1\0";

/** T, and the stages: from operational negotiation to full feature phase. */
const LOGIN_RESPONSE_FLAGS = 0x87;

export interface LoginOptions {
  readonly sessionId: number;
  readonly cid: number;
  readonly initiatorName: string;
  readonly parameters: Parameters;
  readonly luns: ReadonlyMap<number, SimulatedUnit>;
  readonly readOnlyLuns?: readonly number[];
  readonly pingIntervalMs: number;
}

export function handoffRecord(
  { sessionId, cid, initiatorName, parameters, luns, readOnlyLuns = [], pingIntervalMs }: LoginOptions,
  expCmdSN: number,
  statSN: number,
): Omit<HandoffRecord, "connectionId" | "fd"> {
  const text = Buffer.from(LOGIN_RESPONSE_TEXT);
  const header = buildHeader({
    opcode: OPCODE_LOGIN_RESPONSE,
    flags: LOGIN_RESPONSE_FLAGS,
    dataSegmentLength: text.length,
  });
  return {
    sessionId,
    initiatorName,
    initiatorAddress: "192.0.2.1:40000",
    portalAddress: "192.0.2.9:3260",
    captured: null,
    targetName: "iqn.2026-11.io.ringlun:simulated",
    targetPortalGroupTag: 1,
    isid: "400001370000",
    tsih: sessionId & 0xffff,
    cid,
    session: parameters.session,
    connection: parameters.connection,
    expCmdSN,
    statSN,
    loginResponse: Buffer.concat([header, text]).toString("hex"),
    statisticsBlock: 0,
    limits: null,
    luns: [...luns].map(([lun, unit]) => ({
      lun,
      unitIndex: unit.record.unitIndex,
      readOnly: readOnlyLuns.includes(lun),
      blocked: 0,
      accessState: 0,
    })),
    pingIntervalMs,
    reportsScsiEvents: false,
  };
}

/** What is asked of a target on a connection that has logged in: its targets, an echo, whether a unit is ready. */
import {
  OPCODE_ASYNC_MESSAGE,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_NOP_IN,
  OPCODE_REJECT,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TEXT_RESPONSE,
  opcodeName,
  RESERVED_TAG,
  TargetPdu,
} from "../../dataplane/wire/bhs.js";
import { LogoutRequestPdu } from "../../dataplane/wire/logout-request.js";
import { encodeLun } from "../../dataplane/wire/lun.js";
import { NopInPdu } from "../../dataplane/wire/nop-in.js";
import { NopOutPdu } from "../../dataplane/wire/nop-out.js";
import { describeRejectReason, RejectPdu } from "../../dataplane/wire/reject.js";
import { ScsiCommandPdu } from "../../dataplane/wire/scsi-command.js";
import { SCSI_STATUS_CHECK_CONDITION, ScsiResponsePdu } from "../../dataplane/wire/scsi-response.js";
import { decodeText, describeText, TEXT_VALID } from "../../dataplane/wire/text-keys.js";
import { TextRequestPdu } from "../../dataplane/wire/text-request.js";
import { TextResponsePdu } from "../../dataplane/wire/text-response.js";
import { viewOf } from "../pdu-stream.js";
import { type InitiatorConnection, type ReceivedPdu, statSNOf } from "./connection.js";
import { InitiatorError } from "./initiator-error.js";

/** Of all answers to one SendTargets together, in bytes. */
const TEXT_LENGTH_MAX = 16 * 2 ** 20;

export interface DiscoveredTarget {
  readonly name: string;
  readonly portals: readonly { readonly address: string; readonly portalGroupTag: number | null }[];
}

/** SendTargets=All (RFC 7143 appendix C). @throws InitiatorError */
export async function sendTargets(connection: InitiatorConnection, timeoutMs: number): Promise<DiscoveredTarget[]> {
  const parts: Buffer[] = [];
  let targetTransferTag = RESERVED_TAG;
  let text = Buffer.from("SendTargets=All\0");
  let exchange: number | undefined;
  for (let length = 0; length < TEXT_LENGTH_MAX; ) {
    const { pdu, bytes, tag } = connection.header(TextRequestPdu, false, exchange);
    exchange = tag;
    pdu.final = true;
    pdu.targetTransferTag = targetTransferTag;
    await connection.send(bytes, text);
    const { header, data } = await answerTo(connection, OPCODE_TEXT_RESPONSE, tag, timeoutMs);
    const response = new TextResponsePdu(viewOf(header));
    parts.push(data);
    length += data.length;
    if (response.final) return targetsOf(Buffer.concat(parts));
    ({ targetTransferTag } = response);
    text = Buffer.alloc(0);
  }
  throw new InitiatorError("protocol", `the answer to SendTargets has not ended after ${TEXT_LENGTH_MAX} bytes`);
}

function targetsOf(text: Buffer): DiscoveredTarget[] {
  const decoded = decodeText(text);
  if (decoded.reason !== TEXT_VALID) {
    throw new InitiatorError("protocol", `the answer to SendTargets: ${describeText(decoded.reason)}`);
  }
  const targets: { name: string; portals: { address: string; portalGroupTag: number | null }[] }[] = [];
  for (const { key, value } of decoded.pairs) {
    if (key === "TargetName") targets.push({ name: value, portals: [] });
    else if (key === "TargetAddress") {
      const [, address = value, tag] = /^(.*?)(?:,(\d+))?$/s.exec(value) ?? [];
      targets.at(-1)?.portals.push({ address, portalGroupTag: tag === undefined ? null : Number(tag) });
    }
  }
  return targets;
}

/** NOP-Out and its echo. @throws InitiatorError */
export async function echo(connection: InitiatorConnection, timeoutMs: number): Promise<void> {
  const { bytes, tag } = connection.header(NopOutPdu, true);
  await connection.send(bytes);
  await answerTo(connection, OPCODE_NOP_IN, tag, timeoutMs);
}

export interface Readiness {
  /** A SCSI_STATUS_. */
  readonly status: number;
  /** Sense key, ASC and ASCQ of CHECK CONDITION, in hexadecimal: `6/29/00`. */
  readonly sense: string | null;
}

/** TEST UNIT READY. @throws InitiatorError */
export async function testUnitReady(
  connection: InitiatorConnection,
  lun: number,
  timeoutMs: number,
): Promise<Readiness> {
  const { pdu, bytes, tag } = connection.header(ScsiCommandPdu, false);
  pdu.final = true;
  pdu.lunHigh = encodeLun(lun);
  // The CDB is all zeroes.
  await connection.send(bytes);
  const { header, data } = await answerTo(connection, OPCODE_SCSI_RESPONSE, tag, timeoutMs);
  const { status } = new ScsiResponsePdu(viewOf(header));
  return { status, sense: status === SCSI_STATUS_CHECK_CONDITION ? senseOf(data) : null };
}

/** Ends the session. Whether the target has heard of it does not matter any more. */
export async function logOut(connection: InitiatorConnection, timeoutMs: number): Promise<void> {
  try {
    const { bytes, tag } = connection.header(LogoutRequestPdu, true);
    await connection.send(bytes);
    await answerTo(connection, OPCODE_LOGOUT_RESPONSE, tag, timeoutMs);
  } catch (error) {
    if (!(error instanceof InitiatorError)) throw error;
  } finally {
    connection.close();
  }
}

/** What comes meanwhile is dealt with, or passed over: pings, and answers that came too late. */
async function answerTo(
  connection: InitiatorConnection,
  opcode: number,
  tag: number,
  timeoutMs: number,
): Promise<ReceivedPdu> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const received = await connection.receive(Math.max(1, Math.round(deadlineMs - performance.now())));
    const { header } = received;
    const pdu = new TargetPdu(viewOf(header));
    if (received.opcode === OPCODE_NOP_IN && pdu.initiatorTaskTag === RESERVED_TAG) {
      await answerPing(connection, new NopInPdu(viewOf(header)));
      continue;
    }
    connection.acknowledge(statSNOf(header));
    if (received.opcode === opcode && pdu.initiatorTaskTag === tag) return received;
    if (received.opcode === OPCODE_REJECT) {
      const reason = describeRejectReason(new RejectPdu(viewOf(header)).reason);
      throw new InitiatorError("refused", `the target has rejected the request: ${reason}`);
    }
    const isLate = pdu.initiatorTaskTag < tag;
    if (received.opcode === OPCODE_ASYNC_MESSAGE || isLate) continue;
    throw new InitiatorError(
      "protocol",
      `${opcodeName(received.opcode)} came, where ${opcodeName(opcode)} was awaited`,
    );
  }
}

async function answerPing(
  connection: InitiatorConnection,
  { targetTransferTag, lunHigh, lunLow }: NopInPdu,
): Promise<void> {
  if (targetTransferTag === RESERVED_TAG) return;
  const { pdu, bytes } = connection.header(NopOutPdu, true);
  pdu.initiatorTaskTag = RESERVED_TAG;
  pdu.targetTransferTag = targetTransferTag;
  pdu.lunHigh = lunHigh;
  pdu.lunLow = lunLow;
  await connection.send(bytes);
}

/** Of sense data in either format (SPC-5), behind its length. */
function senseOf(data: Buffer): string | null {
  const sense = data.subarray(2);
  const isDescriptor = ((sense[0] ?? 0) & 0x7f) >= 0x72;
  if (sense.length < (isDescriptor ? 4 : 14)) return null;
  const at = isDescriptor ? [1, 2, 3] : [2, 12, 13];
  const [key, asc, ascq] = at.map((index) => sense[index]!);
  return `${(key! & 0xf).toString(16)}/${asc!.toString(16).padStart(2, "0")}/${ascq!.toString(16).padStart(2, "0")}`;
}

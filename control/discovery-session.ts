/**
 * The full feature phase of a discovery session, which control serves itself (RFC 7143 sections 4.3, 7.4, 13.21): Text
 * Requests with SendTargets and a Logout Request, nothing else.
 */
import { setImmediate } from "node:timers/promises";
import {
  BHS_LENGTH,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_TEXT_REQUEST,
  opcodeName,
  Pdu,
  type TargetPdu,
} from "../dataplane/wire/bhs.js";
import { describeInvalid, VALID } from "../dataplane/wire/invalid.js";
import { LOGOUT_REASON_CLOSE_SESSION, LogoutRequestPdu } from "../dataplane/wire/logout-request.js";
import { LOGOUT_RESPONSE_CLOSED, LogoutResponsePdu } from "../dataplane/wire/logout-response.js";
import {
  REJECT_REASON_DATA_DIGEST_ERROR,
  REJECT_REASON_INVALID_PDU_FIELD,
  REJECT_REASON_LONG_OPERATION,
  REJECT_REASON_PROTOCOL_ERROR,
  RejectPdu,
} from "../dataplane/wire/reject.js";
import { serialAdd } from "../dataplane/wire/serial.js";
import { TextRequestPdu } from "../dataplane/wire/text-request.js";
import { TextResponsePdu } from "../dataplane/wire/text-response.js";
import { type PduStream, viewOf } from "./pdu-stream.js";
import { TextExchange, type TextOutcome } from "./text-exchange.js";

const REJECT_REASONS = {
  protocolError: REJECT_REASON_PROTOCOL_ERROR,
  invalidField: REJECT_REASON_INVALID_PDU_FIELD,
  outOfResources: REJECT_REASON_LONG_OPERATION,
} as const;

export interface DiscoverySessionOptions {
  /** Of the next response. */
  readonly statSN: number;
  readonly expCmdSN: number;
  /** The peer's MaxRecvDataSegmentLength. */
  readonly maxSendDataSegmentLength: number;
  /** The answer to the text of a request; undefined: it is not what a discovery session may ask. */
  readonly answer: (text: string) => string | undefined;
  /** Called with every PDU that came in: the peer is alive. */
  readonly onActivity: () => void;
}

export class DiscoverySession {
  readonly #stream: PduStream;
  readonly #options: DiscoverySessionOptions;
  readonly #exchange: TextExchange;
  #statSN: number;
  #expCmdSN: number;

  constructor(stream: PduStream, options: DiscoverySessionOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#exchange = new TextExchange(options.answer, options.maxSendDataSegmentLength);
    this.#statSN = options.statSN;
    this.#expCmdSN = options.expCmdSN;
  }

  /** Serves until the session is over. The caller then finishes the connection. @returns why, for the log. */
  async serve(): Promise<string> {
    for (;;) {
      const received = await this.#stream.read();
      if (received.kind === "end") return "the initiator closed the connection";
      if (received.kind === "malformed") return received.reason;
      this.#options.onActivity();
      const over = received.dataIntact
        ? await this.#handle(received.header, received.data)
        : await this.#reject(received.header, REJECT_REASON_DATA_DIGEST_ERROR);
      if (over !== undefined) return over;
      // Requests that have come together are answered one by one, between what others want.
      await setImmediate();
    }
  }

  /** @returns why the session is over, if it is. */
  async #handle(header: Buffer, data: Buffer): Promise<string | undefined> {
    const { opcode } = new Pdu(viewOf(header));
    switch (opcode) {
      case OPCODE_TEXT_REQUEST:
        return this.#text(header, data);
      case OPCODE_LOGOUT_REQUEST:
        return this.#logout(header);
      default:
        // Section 4.3: "All other requests MUST be rejected."
        return this.#reject(header, REJECT_REASON_PROTOCOL_ERROR);
    }
  }

  async #text(header: Buffer, data: Buffer): Promise<string | undefined> {
    const request = new TextRequestPdu(viewOf(header));
    const invalid = request.invalid();
    if (invalid !== VALID) return `format error in ${opcodeName(request.opcode)}: ${describeInvalid(invalid)}`;
    if (!request.immediate && request.cmdSN !== this.#expCmdSN) return undefined;
    const outcome = this.#exchange.step({
      initiatorTaskTag: request.initiatorTaskTag,
      immediate: request.immediate,
      targetTransferTag: request.targetTransferTag,
      final: request.final,
      continued: request.continue,
      text: data.toString("latin1"),
    });
    if (outcome.kind === "reject") return this.#reject(header, REJECT_REASONS[outcome.reason]);
    // Section 7.3: the CmdSN of a rejected command is not received, so only now is it counted.
    this.#count(request.immediate);
    return this.#respond(request, outcome);
  }

  async #respond(request: TextRequestPdu, outcome: TextOutcome & { kind: "respond" }): Promise<undefined> {
    const header = Buffer.alloc(BHS_LENGTH);
    const response = new TextResponsePdu(viewOf(header)).clear();
    response.final = outcome.final;
    response.continue = outcome.continued;
    response.initiatorTaskTag = request.initiatorTaskTag;
    response.targetTransferTag = outcome.targetTransferTag;
    this.#stamp(response);
    await this.#stream.write(header, Buffer.from(outcome.text, "latin1"));
  }

  async #logout(bytes: Buffer): Promise<string | undefined> {
    const request = new LogoutRequestPdu(viewOf(bytes));
    const invalid = request.invalid();
    if (invalid !== VALID) return `format error in ${opcodeName(request.opcode)}: ${describeInvalid(invalid)}`;
    if (!request.immediate && request.cmdSN !== this.#expCmdSN) return undefined;
    if (request.reasonCode !== LOGOUT_REASON_CLOSE_SESSION) return this.#reject(bytes, REJECT_REASON_PROTOCOL_ERROR);
    this.#count(request.immediate);
    const header = Buffer.alloc(BHS_LENGTH);
    const response = new LogoutResponsePdu(viewOf(header)).clear();
    response.response = LOGOUT_RESPONSE_CLOSED;
    response.initiatorTaskTag = request.initiatorTaskTag;
    this.#stamp(response);
    await this.#stream.write(header, Buffer.alloc(0));
    return "logout";
  }

  async #reject(badHeader: Buffer, reason: number): Promise<undefined> {
    const header = Buffer.alloc(BHS_LENGTH);
    const reject = new RejectPdu(viewOf(header)).clear();
    reject.reason = reason;
    this.#stamp(reject);
    await this.#stream.write(header, badHeader);
  }

  #count(immediate: boolean): void {
    if (!immediate) this.#expCmdSN = serialAdd(this.#expCmdSN, 1);
  }

  #stamp(pdu: TargetPdu): void {
    pdu.statSN = this.#statSN;
    pdu.expCmdSN = this.#expCmdSN;
    // "The queuing capacity ... is MaxCmdSN - ExpCmdSN + 1" (section 4.2.2.1): nothing is held that comes before its turn.
    pdu.maxCmdSN = this.#expCmdSN;
    this.#statSN = serialAdd(this.#statSN, 1);
  }
}

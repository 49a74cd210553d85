/** What is said before a shard has a connection, and in discovery sessions: an interface of its own, fed by control itself. */
import { monotonicUs } from "io-uring-node";
import { type PortalAddress, portalAddressOf } from "../config/portal-address.js";
import { CAPTURE_LOGIN_BYTES_MAX } from "../limits.js";
import type { WireTap } from "../pdu-stream.js";
import { packetsOf } from "./packets.js";
import { TcpFlow } from "./tcp-flow.js";
import type { Trace } from "./trace.js";

export class LoginTrace implements Trace {
  readonly name = "logins";
  readonly description = "logins and discovery sessions";
  /** Of the capture. */
  readonly number: number;
  readonly #interfaceId: number;
  readonly #clockToWallUs: number;
  readonly #blocks: Buffer[] = [];
  #bytes = 0;
  pdus = 0;
  dropped = 0;
  /** Left out since the last that was not. */
  #gap = 0;

  constructor(interfaceId: number, number: number, clockToWallUs: number) {
    this.#interfaceId = interfaceId;
    this.number = number;
    this.#clockToWallUs = clockToWallUs;
  }

  add(flow: TcpFlow, isReceived: boolean, position: number, pdu: Buffer, introduction: string): void {
    if (this.#bytes > CAPTURE_LOGIN_BYTES_MAX) {
      this.dropped++;
      this.#gap++;
      return;
    }
    this.pdus++;
    const blocks = packetsOf(flow, {
      interfaceId: this.#interfaceId,
      atUs: monotonicUs() + this.#clockToWallUs,
      isReceived,
      position,
      wireLength: pdu.length,
      content: pdu,
      dropped: this.#gap,
      comment: introduction,
    });
    this.#gap = 0;
    for (const block of blocks) {
      this.#blocks.push(block);
      this.#bytes += block.length;
    }
  }

  take(bytesMax: number): Buffer[] {
    const blocks: Buffer[] = [];
    for (let bytes = 0; bytes < bytesMax && this.#blocks.length > 0; ) {
      const block = this.#blocks.shift()!;
      blocks.push(block);
      bytes += block.length;
      this.#bytes -= block.length;
    }
    return blocks;
  }
}

/** One connection, as long as control has it. */
export class LoginTap implements WireTap {
  readonly #running: () => LoginTrace | null;
  readonly #initiator: PortalAddress;
  readonly #portal: PortalAddress;
  /** Of the capture that the numbers below are of. */
  #trace: LoginTrace | null = null;
  #flow: TcpFlow | undefined;
  #received = 0;
  #sent = 0;

  /** @param running what is captured now; null: nothing. */
  constructor(running: () => LoginTrace | null, initiatorAddress: string, portalAddress: string) {
    this.#running = running;
    this.#initiator = portalAddressOf(initiatorAddress);
    this.#portal = portalAddressOf(portalAddress);
  }

  get isOn(): boolean {
    return this.#running() !== null;
  }

  take(isReceived: boolean, pdu: Buffer): void {
    const trace = this.#running();
    if (trace === null) return;
    const isNew = this.#trace !== trace;
    if (isNew || this.#flow === undefined) {
      this.#trace = trace;
      this.#flow = new TcpFlow(this.#initiator, this.#portal);
      this.#received = 0;
      this.#sent = 0;
    }
    const position = isReceived ? this.#received : this.#sent;
    trace.add(this.#flow, isReceived, position, pdu, isNew ? "not logged in yet" : "");
    if (isReceived) this.#received += pdu.length;
    else this.#sent += pdu.length;
  }

  /** Where the shard's part of the connection begins. */
  get position(): { readonly number: number; readonly received: number; readonly sent: number } | null {
    if (this.#trace === null || this.#running() !== this.#trace) return null;
    return { number: this.#trace.number, received: this.#received, sent: this.#sent };
  }
}

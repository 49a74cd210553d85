/** The other end of a connection: sends what a test says, byte for byte if need be, and reads PDUs. */
import { connect, type Socket } from "node:net";
import { crc32c } from "io-uring-node";
import { BHS_LENGTH, Pdu, paddedLength, RESERVED_TAG } from "../../../../dataplane/wire/bhs.js";
import { LoginRequestPdu } from "../../../../dataplane/wire/login-request.js";
import { LoginResponsePdu } from "../../../../dataplane/wire/login-response.js";
import {
  STAGE_FULL_FEATURE_PHASE,
  STAGE_LOGIN_OPERATIONAL_NEGOTIATION,
} from "../../../../dataplane/wire/login-stage.js";
import { LogoutRequestPdu } from "../../../../dataplane/wire/logout-request.js";
import { decodeText, encodeText, type KeyValue, TEXT_VALID } from "../../../../dataplane/wire/text-keys.js";
import { TextRequestPdu } from "../../../../dataplane/wire/text-request.js";

export interface ReceivedPdu {
  readonly header: Buffer;
  readonly view: DataView;
  readonly opcode: number;
  readonly data: Buffer;
}

export interface LoginFields {
  readonly keys: Readonly<Record<string, string>>;
  readonly isid?: number;
  readonly tsih?: number;
  readonly cid?: number;
  readonly cmdSN?: number;
  readonly expStatSN?: number;
}

export const DISCOVERY_KEYS = { InitiatorName: "iqn.2026-11.io.ringlun:initiator", SessionType: "Discovery" } as const;

export class Initiator {
  readonly socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};
  #headerDigest = false;
  #dataDigest = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on("error", () => {});
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  static async connect(address: { readonly host: string; readonly port: number }): Promise<Initiator> {
    const socket = connect(address);
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new Initiator(socket);
  }

  useDigests(header: boolean, data: boolean): void {
    this.#headerDigest = header;
    this.#dataDigest = data;
  }

  send(header: Uint8Array, data: Uint8Array = new Uint8Array()): void {
    this.socket.write(this.frame(header, data));
  }

  /** A PDU as it goes on the wire; its DataSegmentLength is set here. */
  frame(header: Uint8Array, data: Uint8Array): Buffer {
    const bhs = Buffer.from(header);
    new Pdu(viewOf(bhs)).dataSegmentLength = data.length;
    const segment = Buffer.alloc(paddedLength(data.length));
    segment.set(data);
    return Buffer.concat([
      bhs,
      ...(this.#headerDigest ? [digest(bhs)] : []),
      segment,
      ...(this.#dataDigest && data.length > 0 ? [digest(segment)] : []),
    ]);
  }

  /** The next PDU; undefined where the connection ends instead. */
  async receive(): Promise<ReceivedPdu | undefined> {
    const header = await this.#take(BHS_LENGTH);
    if (header === undefined) return undefined;
    if (this.#headerDigest) await this.#takeDigest(header);
    const view = viewOf(header);
    const { dataSegmentLength: length, opcode } = new Pdu(view);
    const segment = (await this.#take(paddedLength(length))) ?? Buffer.alloc(0);
    if (this.#dataDigest && length > 0) await this.#takeDigest(segment);
    return { header, view, opcode, data: segment.subarray(0, length) };
  }

  /** Whether the connection ends with nothing more on it. */
  async ends(): Promise<boolean> {
    return (await this.receive()) === undefined;
  }

  close(): void {
    this.socket.destroy();
  }

  /** A login in one request, straight to full feature phase. */
  async login(fields: LoginFields): Promise<ReceivedPdu | undefined> {
    this.send(loginHeader(fields), encodeText(pairsOf(fields.keys)));
    return this.receive();
  }

  sendText(
    text: Uint8Array | Readonly<Record<string, string>>,
    fields: {
      ttt?: number;
      itt?: number;
      final?: boolean;
      continue?: boolean;
      immediate?: boolean;
      cmdSN?: number;
    } = {},
  ): void {
    const header = Buffer.alloc(BHS_LENGTH);
    const pdu = new TextRequestPdu(viewOf(header)).clear();
    pdu.final = fields.final ?? true;
    pdu.continue = fields.continue ?? false;
    pdu.immediate = fields.immediate ?? true;
    pdu.initiatorTaskTag = fields.itt ?? 7;
    pdu.targetTransferTag = fields.ttt ?? RESERVED_TAG;
    pdu.cmdSN = fields.cmdSN ?? 1;
    this.send(header, text instanceof Uint8Array ? text : encodeText(pairsOf(text)));
  }

  sendLogout(reasonCode = 0): void {
    const header = Buffer.alloc(BHS_LENGTH);
    const pdu = new LogoutRequestPdu(viewOf(header)).clear();
    pdu.immediate = true;
    pdu.reasonCode = reasonCode;
    pdu.initiatorTaskTag = 9;
    this.send(header);
  }

  async #take(length: number): Promise<Buffer | undefined> {
    while (this.#received.length < length) {
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  async #takeDigest(covered: Buffer): Promise<void> {
    const received = await this.#take(4);
    if (received === undefined || !received.equals(digest(covered))) throw new Error("wrong digest received");
  }
}

export function loginHeader(fields: Omit<LoginFields, "keys">): Buffer {
  const header = Buffer.alloc(BHS_LENGTH);
  const pdu = new LoginRequestPdu(viewOf(header)).clear();
  pdu.transit = true;
  pdu.csg = STAGE_LOGIN_OPERATIONAL_NEGOTIATION;
  pdu.nsg = STAGE_FULL_FEATURE_PHASE;
  pdu.isid = fields.isid ?? 0x8000_0000_0001;
  pdu.tsih = fields.tsih ?? 0;
  pdu.cid = fields.cid ?? 0;
  pdu.cmdSN = fields.cmdSN ?? 1;
  pdu.expStatSN = fields.expStatSN ?? 1;
  pdu.initiatorTaskTag = 3;
  return header;
}

/** Status and TSIH of a Login Response. */
export function loginOutcome(pdu: ReceivedPdu | undefined): { status: number; tsih: number } | undefined {
  if (pdu === undefined) return undefined;
  const { status, tsih } = new LoginResponsePdu(pdu.view);
  return { status, tsih };
}

export function pairsOf(keys: Readonly<Record<string, string>>): KeyValue[] {
  return Object.entries(keys).map(([key, value]) => ({ key, value }));
}

export function textOf(data: Uint8Array): string[] {
  const decoded = decodeText(data);
  if (decoded.reason !== TEXT_VALID) throw new Error(`no text: reason ${decoded.reason}`);
  return decoded.pairs.map(({ key, value }) => `${key}=${value}`);
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function digest(bytes: Uint8Array): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(crc32c(bytes));
  return out;
}

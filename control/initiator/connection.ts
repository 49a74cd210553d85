/** An initiator's connection, for tools that ask one thing after the other: PDUs over a socket of libuv's, each within its time. */
import { connect, type Socket } from "node:net";
import { BHS_LENGTH, type CommandPdu, Pdu, TargetPdu } from "../../dataplane/wire/bhs.js";
import { serialAdd } from "../../dataplane/wire/serial.js";
import { formatPortalAddress, type PortalAddress } from "../config/portal-address.js";
import { PduStream, viewOf } from "../pdu-stream.js";
import { InitiatorError } from "./initiator-error.js";

export interface ReceivedPdu {
  readonly header: Buffer;
  readonly opcode: number;
  /** Without padding. */
  readonly data: Buffer;
}

export class InitiatorConnection {
  readonly address: PortalAddress;
  readonly #socket: Socket;
  readonly #stream: PduStream;
  /** What is under way, after a time that was too short for it: the next read takes it up. */
  #reading: Promise<ReceivedPdu> | null = null;
  #expStatSN = 0;
  #nextTag = 1;
  /** CmdSN of the next command that is not immediate. */
  cmdSN = 1;

  private constructor(address: PortalAddress, socket: Socket) {
    this.address = address;
    this.#socket = socket;
    this.#stream = new PduStream(socket);
  }

  /** @throws InitiatorError */
  static async open(address: PortalAddress, timeoutMs: number): Promise<InitiatorConnection> {
    const place = formatPortalAddress(address);
    const socket = connect({ host: address.host, port: address.port, noDelay: true });
    try {
      await within(
        new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject)),
        timeoutMs,
        () =>
          new InitiatorError(
            "silent",
            `${place} does not answer within ${timeoutMs / 1000} s: is there a firewall between?`,
          ),
      );
    } catch (error) {
      socket.destroy();
      if (error instanceof InitiatorError) throw error;
      throw new InitiatorError(
        "unreachable",
        `${place} cannot be reached: ${reasonOf(error as NodeJS.ErrnoException)}`,
      );
    }
    return new InitiatorConnection(address, socket);
  }

  close(): void {
    this.#socket.destroy();
  }

  /**
   * A header of this kind, with the numbers that it is to carry. An immediate one takes no CmdSN.
   *
   * @param tag of the exchange that it goes on with; absent: one of its own.
   */
  header<P extends CommandPdu>(
    kind: new (view: DataView) => P,
    immediate: boolean,
    tag = this.#nextTag++,
  ): { pdu: P; bytes: Buffer; tag: number } {
    const bytes = Buffer.alloc(BHS_LENGTH);
    const pdu = new kind(viewOf(bytes)).clear();
    pdu.initiatorTaskTag = tag;
    pdu.immediate = immediate;
    pdu.cmdSN = this.cmdSN;
    pdu.expStatSN = this.#expStatSN;
    if (!immediate) this.cmdSN = serialAdd(this.cmdSN, 1);
    return { pdu, bytes, tag };
  }

  async send(header: Buffer, data: Buffer = Buffer.alloc(0)): Promise<void> {
    await this.#stream.write(header, data);
  }

  /** The next PDU. @throws InitiatorError */
  async receive(timeoutMs: number): Promise<ReceivedPdu> {
    this.#reading ??= this.#read();
    // Whoever waits for it next is told, too.
    this.#reading.catch(() => {});
    const received = await within(
      this.#reading,
      timeoutMs,
      () =>
        new InitiatorError(
          "silent",
          `${formatPortalAddress(this.address)} has not answered within ${timeoutMs / 1000} s`,
        ),
    );
    this.#reading = null;
    return received;
  }

  /** A status was received: it is acknowledged by what is sent next. */
  acknowledge(statSN: number): void {
    this.#expStatSN = serialAdd(statSN, 1);
  }

  async #read(): Promise<ReceivedPdu> {
    const place = formatPortalAddress(this.address);
    const received = await this.#stream.read();
    if (received.kind === "end") throw new InitiatorError("unreachable", `${place} has closed the connection`);
    if (received.kind === "malformed") {
      throw new InitiatorError("protocol", `${place} does not speak iSCSI: ${received.reason}`);
    }
    const { header, data } = received;
    return { header, data, opcode: new Pdu(viewOf(header)).opcode };
  }
}

/** StatSN of a PDU that carries one. */
export function statSNOf(header: Buffer): number {
  return new TargetPdu(viewOf(header)).statSN;
}

async function within<T>(promise: Promise<T>, timeoutMs: number, late: () => InitiatorError): Promise<T> {
  let timer: NodeJS.Timeout;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), timeoutMs);
  });
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer));
}

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  switch (code) {
    case "ECONNREFUSED":
      return "nobody listens there; is it the right port?";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its name is not known";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "there is no way to it";
    default:
      return message;
  }
}

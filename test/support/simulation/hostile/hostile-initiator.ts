/**
 * An initiator that sends what it wants. It logs in again whenever it is thrown out. What it receives has to be well formed,
 * and none of it may be another's.
 */
import assert from "node:assert/strict";
import { COMMAND_WINDOW } from "../../../../dataplane/limits.js";
import { serialAdd, serialLess } from "../../../../dataplane/wire/serial.js";
import { digestOf } from "../../crc32c.js";
import {
  buildHeader,
  OPCODE_DATA_OUT,
  OPCODE_LOGIN_RESPONSE,
  OPCODE_NOP_IN,
  OPCODE_R2T,
  OPCODE_TEXT_RESPONSE,
  type ReceivedPdu,
  TAG_NONE,
} from "../../pdu.js";
import { handoffRecord, type LoginOptions } from "../initiator/handoff-record.js";
import { PduReader } from "../initiator/pdu-reader.js";
import { describe, takesStatSN } from "../initiator/sequence-numbers.js";
import type { Machine } from "../machine.js";
import type { PipeOptions } from "../pipe.js";
import type { PeerSocket } from "../socket.js";
import { holdsStamp } from "../stamps.js";
import type { World } from "../world.js";
import type { Action, HostilePdu, Value } from "./action.js";

/** What its data consists of: nothing that another writes looks like it. */
const FILLING = 0xa5;
const ACTION_US = 100;
/** When it has done everything it stays a while, and then leaves. */
const LINGER_US = 20_000;
const RELOGIN_US = 200;

interface R2t {
  readonly initiatorTaskTag: number;
  readonly targetTransferTag: number;
  offset: number;
  readonly end: number;
  dataSN: number;
}

export interface HostileOptions extends Omit<LoginOptions, "sessionId" | "cid"> {
  readonly pipe: PipeOptions;
  readonly actions: readonly Action[];
  nextSessionId(): number;
}

export class HostileInitiator {
  isFinished = false;
  readonly options: HostileOptions;
  /** Of the session, whichever connection it was told on. */
  expCmdSN = serialAdd(0, -3);
  maxCmdSN = serialAdd(0, -4);
  readonly #world: World;
  readonly #machine: Machine;
  readonly #lanes: Lane[] = [];
  readonly #sessionId: number;
  #lastCid = 0;
  #next = 0;

  constructor(world: World, machine: Machine, options: HostileOptions) {
    this.#world = world;
    this.#machine = machine;
    this.options = options;
    this.#sessionId = options.nextSessionId();
    const { maxConnections } = options.parameters.session;
    for (let index = 0; index < maxConnections; index++) this.#lanes.push(this.#logIn());
    this.#act();
  }

  /** A connection was thrown out, or has gone; if there is more to do it comes again. */
  closed(lane: Lane): void {
    if (this.#next < this.options.actions.length) {
      this.#world.timeline.after(RELOGIN_US, () => (this.#lanes[this.#lanes.indexOf(lane)] = this.#logIn()));
      return;
    }
    this.#lanes.splice(this.#lanes.indexOf(lane), 1);
    if (this.#lanes.length === 0) this.isFinished = true;
  }

  /** PDUs of different connections may overtake each other: the latest numbers count. */
  told({ expCmdSN, maxCmdSN }: ReceivedPdu): void {
    if (serialLess(this.expCmdSN, expCmdSN)) this.expCmdSN = expCmdSN;
    if (serialLess(this.maxCmdSN, maxCmdSN)) this.maxCmdSN = maxCmdSN;
  }

  #logIn(): Lane {
    const { options } = this;
    const record = handoffRecord(
      { ...options, sessionId: this.#sessionId, cid: ++this.#lastCid },
      this.expCmdSN,
      FIRST_STATSN,
    );
    return new Lane(this, (closed) => this.#machine.connect(record, options.pipe, closed).peer);
  }

  #act(): void {
    const { timeline } = this.#world;
    const action = this.options.actions[this.#next];
    if (action === undefined) {
      timeline.after(LINGER_US, () => {
        for (const lane of this.#lanes) lane.leave("close");
      });
      return;
    }
    this.#next++;
    this.#lanes[(action.on ?? 0) % this.#lanes.length]!.act(action);
    timeline.after(action.kind === "wait" ? action.us : ACTION_US, () => this.#act());
  }
}

/** So that it wraps. */
const FIRST_STATSN = serialAdd(0, -3);

/** One of its connections. */
class Lane {
  readonly #hostile: HostileInitiator;
  readonly #reader: PduReader;
  #socket: PeerSocket | null;
  #isLoggedIn = false;
  #unsent: Buffer[] = [];
  #r2ts: R2t[] = [];
  #statSN = FIRST_STATSN;
  #pingTag = TAG_NONE;
  #textTag = TAG_NONE;

  constructor(hostile: HostileInitiator, connect: (closed: () => void) => PeerSocket) {
    this.#hostile = hostile;
    this.#reader = new PduReader(hostile.options.parameters.connection.maxSendDataSegmentLength);
    const socket = connect(() => {
      this.leave("close");
      hostile.closed(this);
    });
    this.#socket = socket;
    socket.onReadable = () => this.#receive();
    socket.onWritable = () => this.#send();
  }

  act(action: Action): void {
    switch (action.kind) {
      case "pdu":
        return this.#write(this.#encode(action.pdu));
      case "answer":
        return this.#answer(action.r2t, action.length, action.final);
      case "mutated": {
        const bytes = this.#encode(action.pdu);
        bytes[action.at % bytes.length] = action.byte;
        return this.#write(bytes);
      }
      case "cut":
        return this.#write(this.#encode(action.pdu).subarray(0, action.length));
      case "bytes":
        return this.#write(Buffer.from(action.bytes));
      case "wait":
        return;
      case "leave":
        return this.leave(action.how);
    }
  }

  leave(how: "close" | "reset"): void {
    const socket = this.#socket;
    this.#socket = null;
    if (how === "close") socket?.close();
    else socket?.reset();
  }

  #answer(index: number, length: number, final: boolean): void {
    if (this.#r2ts.length === 0) return;
    const at = index % this.#r2ts.length;
    const r2t = this.#r2ts[at]!;
    const most = this.#hostile.options.parameters.connection.maxRecvDataSegmentLength;
    const count = Math.min(length, r2t.end - r2t.offset, most);
    const isLast = final || r2t.offset + count === r2t.end;
    this.#write(
      this.#encode({
        opcode: OPCODE_DATA_OUT,
        flags: isLast ? 0x80 : 0,
        initiatorTaskTag: r2t.initiatorTaskTag,
        word20: r2t.targetTransferTag,
        words: [0, r2t.dataSN, r2t.offset, 0],
        dataLength: count,
      }),
    );
    r2t.offset += count;
    r2t.dataSN++;
    if (isLast) this.#r2ts.splice(at, 1);
  }

  #write(bytes: Buffer): void {
    this.#unsent.push(bytes);
    this.#send();
  }

  #send(): void {
    const socket = this.#socket;
    if (!this.#isLoggedIn) return;
    while (socket !== null && this.#unsent.length > 0 && socket.room > 0) {
      const first = this.#unsent[0]!;
      const count = socket.write(first);
      if (count === first.length) this.#unsent.shift();
      else this.#unsent[0] = first.subarray(count);
    }
  }

  // ---- PDUs

  #encode(pdu: HostilePdu): Buffer {
    const data = pdu.text === undefined ? Buffer.alloc(pdu.dataLength ?? 0, FILLING) : Buffer.from(pdu.text, "latin1");
    const ahs = Buffer.from(pdu.ahs ?? []);
    const ahsWords = ahs.length >> 2;
    const header = buildHeader({
      opcode: pdu.opcode,
      immediate: pdu.immediate ?? false,
      flags: pdu.flags ?? 0x80,
      byte2: pdu.byte2 ?? 0,
      totalAHSLength: ahsWords,
      dataSegmentLength: pdu.dataSegmentLength ?? data.length,
      lun: pdu.lun ?? 0,
      initiatorTaskTag: this.#resolve(pdu.initiatorTaskTag ?? 0),
      targetTransferTag: this.#resolve(pdu.word20 ?? TAG_NONE),
      cmdSN: this.#resolve(pdu.cmdSN ?? { of: "expCmdSN" }),
      expStatSN: this.#resolve(pdu.expStatSN ?? { of: "statSN" }),
      ...(pdu.cdb === undefined ? {} : { cdb: pdu.cdb }),
    });
    for (const [index, value] of (pdu.words ?? []).entries())
      header.writeUInt32BE(this.#resolve(value), 32 + index * 4);
    const { headerDigest, dataDigest } = this.#hostile.options.parameters.connection;
    const parts: Uint8Array[] = [header, ahs.subarray(0, ahsWords * 4)];
    if (headerDigest === "CRC32C") parts.push(digest(parts, pdu.badDigest === "header"));
    if (data.length > 0) {
      const padded = Buffer.concat([data, Buffer.alloc(-data.length & 3)]);
      parts.push(padded);
      if (dataDigest === "CRC32C") parts.push(digest([padded], pdu.badDigest === "data"));
    }
    return Buffer.concat(parts);
  }

  #resolve(value: Value): number {
    if (typeof value === "number") return value >>> 0;
    return (this.#known(value.of) + (value.plus ?? 0)) >>> 0;
  }

  #known(what: Exclude<Value, number>["of"]): number {
    const r2t = this.#r2ts[0];
    switch (what) {
      case "expCmdSN":
        return this.#hostile.expCmdSN;
      case "statSN":
        return this.#statSN;
      case "tag":
        return r2t?.targetTransferTag ?? TAG_NONE;
      case "offset":
        return r2t?.offset ?? 0;
      case "length":
        return r2t === undefined ? 0 : r2t.end - r2t.offset;
      case "pingTag":
        return this.#pingTag;
      case "textTag":
        return this.#textTag;
    }
  }

  // ---- receiving

  #receive(): void {
    const socket = this.#socket;
    if (socket === null) return;
    while (socket.available > 0) {
      this.#reader.fill(socket, socket.available);
      for (let pdu = this.#reader.next(); pdu !== null; pdu = this.#reader.next()) this.#received(pdu);
    }
    if (socket.ended) this.leave("close");
  }

  #countStatus({ statSN }: ReceivedPdu): void {
    const { errorRecoveryLevel } = this.#hostile.options.parameters.session;
    // What was asked for again by SNACK.
    if (errorRecoveryLevel > 0 && serialLess(statSN, this.#statSN)) return;
    assert.equal(statSN, this.#statSN, "StatSN counts on");
    this.#statSN = serialAdd(statSN, 1);
  }

  #received(pdu: ReceivedPdu): void {
    assert(!holdsStamp(pdu.data), `what another has written: ${describe(pdu)}`);
    if (takesStatSN(pdu)) this.#countStatus(pdu);
    assert(!serialLess(pdu.maxCmdSN, serialAdd(pdu.expCmdSN, -1)), "MaxCmdSN is at least ExpCmdSN - 1");
    assert(serialLess(pdu.maxCmdSN, serialAdd(pdu.expCmdSN, COMMAND_WINDOW)), "the window is as wide as it may be");
    this.#hostile.told(pdu);
    switch (pdu.opcode) {
      case OPCODE_LOGIN_RESPONSE: {
        this.#isLoggedIn = true;
        const { headerDigest, dataDigest } = this.#hostile.options.parameters.connection;
        this.#reader.headerDigest = headerDigest === "CRC32C";
        this.#reader.dataDigest = dataDigest === "CRC32C";
        return this.#send();
      }
      case OPCODE_R2T: {
        const offset = pdu.field("bufferOffset");
        const end = offset + pdu.field("desiredDataTransferLength");
        const { initiatorTaskTag, targetTransferTag } = pdu;
        this.#r2ts.push({ initiatorTaskTag, targetTransferTag, offset, end, dataSN: 0 });
        return;
      }
      case OPCODE_NOP_IN:
        if (pdu.initiatorTaskTag === TAG_NONE) this.#pingTag = pdu.targetTransferTag;
        return;
      case OPCODE_TEXT_RESPONSE:
        this.#textTag = pdu.targetTransferTag;
        return;
      default:
        return;
    }
  }
}

function digest(parts: readonly Uint8Array[], isBad: boolean): Buffer {
  const bytes = digestOf(...parts);
  if (isBad) bytes[0] = bytes[0]! ^ 1;
  return bytes;
}

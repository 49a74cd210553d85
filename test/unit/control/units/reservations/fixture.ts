/** Nexuses, commands and their outcomes, for tests of reservations. Bytes are written by hand, apart from the code under test. */
import assert from "node:assert/strict";
import type { InitiatorPort, Nexus } from "../../../../../control/units/reservations/nexus.js";
import type { Outcome } from "../../../../../control/units/reservations/outcome.js";
import { persistentReserveIn } from "../../../../../control/units/reservations/persistent-reserve-in.js";
import { persistentReserveOut } from "../../../../../control/units/reservations/persistent-reserve-out.js";
import { releaseUnit, reserveUnit } from "../../../../../control/units/reservations/reserve-unit.js";
import { UNRESERVED, type UnitReservations } from "../../../../../control/units/reservations/state.js";
import type { ScsiAnswer } from "../../../../../dataplane/messages.js";

export const TARGET = "iqn.2026-11.io.ringlun:t";
/** Portal groups of the target. */
export const PORTS = [1, 2];

function nexus(name: string, isid: string, portalGroupTag = 1): Nexus {
  return { initiatorName: `iqn.2026-11.io.ringlun:${name}`, isid, targetName: TARGET, portalGroupTag };
}

export const A = nexus("a", "00023d000001");
export const B = nexus("b", "00023d000002");
export const C = nexus("c", "00023d000003");
/** A through the other portal group. */
export const A2: Nexus = { ...A, portalGroupTag: 2 };

export const REGISTER = 0;
export const RESERVE = 1;
export const RELEASE = 2;
export const CLEAR = 3;
export const PREEMPT = 4;
export const PREEMPT_AND_ABORT = 5;
export const REGISTER_AND_IGNORE = 6;
export const REGISTER_AND_MOVE = 7;
export const REPLACE_LOST = 8;

export const ALL_TYPES = [1, 3, 5, 6, 7, 8];

/** Bits of byte 20. */
export const APTPL = 0x01;
export const ALL_TG_PT = 0x04;
export const SPEC_I_PT = 0x08;

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ""), "hex"));
}

/** A key as 16 digits. */
export function key(value: number): string {
  return value.toString(16).padStart(16, "0");
}

function u16(value: number): string {
  return value.toString(16).padStart(4, "0");
}

function u32(value: number): string {
  return value.toString(16).padStart(8, "0");
}

/** Format 01b; for our names the text with its NUL has 40 bytes less padding. */
export function transportId({ initiatorName, isid }: InitiatorPort): string {
  return textTransportId(0x45, `${initiatorName},i,0x${isid}`);
}

/** Format 00b: all ports of the initiator. */
export function deviceTransportId(initiatorName: string): string {
  return textTransportId(0x05, initiatorName);
}

export function textTransportId(format: number, text: string): string {
  const bytes = Buffer.from(text);
  const length = Math.max(20, Math.ceil((bytes.length + 1) / 4) * 4);
  const padded = Buffer.alloc(length);
  bytes.copy(padded);
  return `${format.toString(16).padStart(2, "0")}00${u16(length)}${padded.toString("hex")}`;
}

export interface Command {
  readonly key?: number;
  readonly actionKey?: number;
  readonly scope?: number;
  readonly type?: number;
  /** Byte 20. */
  readonly flags?: number;
  /** With SPEC_I_PT. */
  readonly transportIds?: readonly string[];
  /** Instead of all that. */
  readonly list?: Uint8Array;
  /** PARAMETER LIST LENGTH, if it is not the list's. */
  readonly length?: number;
}

export function basicList({ key: own = 0, actionKey = 0, flags = 0, transportIds }: Command): Uint8Array {
  const ids = (transportIds ?? []).join("");
  const additional = transportIds === undefined ? "" : u32(ids.length / 2) + ids;
  return fromHex(`${key(own)}${key(actionKey)}00000000${flags.toString(16).padStart(2, "0")}000000${additional}`);
}

export interface Move {
  readonly key: number;
  readonly actionKey: number;
  /** Byte 17: UNREG (02h), APTPL (01h). */
  readonly flags?: number;
  readonly port?: number;
  readonly transportId: string;
}

export function moveList({ key: own, actionKey, flags = 0, port = 1, transportId: id }: Move): Uint8Array {
  return fromHex(
    `${key(own)}${key(actionKey)}00${flags.toString(16).padStart(2, "0")}${u16(port)}${u32(id.length / 2)}${id}`,
  );
}

/** One unit's reservations, command after command. */
export class Unit {
  state: UnitReservations = UNRESERVED;
  /** ISIDs of initiators that are logged in. */
  readonly known = new Map<string, string[]>();

  out(sender: Nexus, action: number, command: Command = {}): Result {
    const list = command.list ?? basicList(command);
    const { scope = 0, type = 0, length = list.length } = command;
    const cdb = fromHex(`5f0${action}${scope.toString(16)}${type.toString(16)}0000${u32(length)}00`);
    return this.#apply(
      persistentReserveOut(this.state, sender, cdb, list, {
        targetPorts: PORTS,
        knownIsids: (name) => this.known.get(name) ?? [],
      }),
    );
  }

  move(sender: Nexus, move: Move): Result {
    return this.out(sender, REGISTER_AND_MOVE, { list: moveList(move) });
  }

  /** RESERVE (6) or (10). */
  reserve(sender: Nexus): Result {
    return this.#apply(reserveUnit(this.state, sender));
  }

  release(sender: Nexus): Result {
    return this.#apply(releaseUnit(this.state, sender));
  }

  /** PERSISTENT RESERVE IN, in hexadecimal. */
  in(action: number): string {
    return hex(persistentReserveIn(this.state, action));
  }

  /** Registers each nexus with its key: A with 1, B with 2, C with 3, unless others are given. */
  registered(...registrations: readonly (readonly [Nexus, number])[]): this {
    for (const [sender, actionKey] of registrations) this.out(sender, REGISTER, { actionKey });
    return this;
  }

  /** The sender, registered with the key, has reserved. */
  reserved(sender: Nexus, own: number, type: number): this {
    assert.equal(this.out(sender, RESERVE, { key: own, type }).answer, "good");
    return this;
  }

  /** Who is registered with what: "a/1:1" is A through portal group 1 with key 1. */
  get keys(): string[] {
    return [...this.state.registrations.values()].map(
      (each) => `${nameOf(each.nexus)}:${Number.parseInt(each.key, 16)}`,
    );
  }

  /** "a/1 type 3", "all type 7", "reserve a/1". */
  get holder(): string {
    const { reservation } = this.state;
    if (reservation === null) return "none";
    if (reservation.kind === "lost") return "lost";
    if (reservation.kind === "reserve") return `reserve ${nameOf(reservation.holder)}`;
    return `${reservation.kind === "holder" ? nameOf(reservation.holder) : "all"} type ${reservation.type}`;
  }

  #apply(outcome: Outcome): Result {
    if (outcome.kind === "answered") return { answer: describe(outcome.answer), notices: {}, aborted: [] };
    this.state = outcome.state;
    const notices = outcome.notices.map(({ condition: { senseKey, asc, ascq }, nexuses }) => {
      assert.equal(senseKey, 6);
      return [u16((asc << 8) | ascq), nexuses.map(nameOf)];
    });
    return { answer: "good", notices: Object.fromEntries(notices), aborted: outcome.aborted.map(nameOf) };
  }
}

export interface Result {
  /** "good", "conflict", or sense: "26/00 list 20.3". */
  readonly answer: string;
  /** ASC and ASCQ -> who is told. */
  readonly notices: Readonly<Record<string, readonly string[]>>;
  readonly aborted: readonly string[];
}

export const GOOD: Result = { answer: "good", notices: {}, aborted: [] };
export const CONFLICT: Result = { answer: "conflict", notices: {}, aborted: [] };

export function refused(answer: string): Result {
  return { answer, notices: {}, aborted: [] };
}

export function nameOf({ initiatorName, portalGroupTag }: Nexus): string {
  return `${initiatorName.split(":").at(-1)}/${portalGroupTag}`;
}

function describe(answer: ScsiAnswer): string {
  if (answer.kind === "good") return "good";
  if (answer.kind === "status") {
    assert.equal(answer.status, 0x18);
    return "conflict";
  }
  assert(answer.kind === "sense");
  // ILLEGAL REQUEST goes without saying.
  const key = answer.senseKey === 5 ? "" : `key ${answer.senseKey} `;
  const code = `${key}${answer.asc.toString(16).padStart(2, "0")}/${answer.ascq.toString(16).padStart(2, "0")}`;
  const specific = answer.senseKeySpecific ?? -1;
  if (specific < 0) return code;
  assert.equal(specific & 0x80_0000, 0x80_0000, "SKSV");
  const place = (specific & 0x40_0000) !== 0 ? "cdb" : "list";
  const bit = (specific & 0x08_0000) !== 0 ? `.${(specific >>> 16) & 7}` : "";
  return `${code} ${place} ${specific & 0xffff}${bit}`;
}

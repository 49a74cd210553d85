/**
 * Which units a copy may touch, and how: what the initiator could read and write itself, one way or the other, and no more. A
 * copy is asked before each of its parts, so that what changes meanwhile counts.
 *
 * A session reaches the units of its own LUN map. An initiator that is logged in to several targets reaches those of its other
 * sessions too, if they came the same way: by the same portal group, and with what this session has proved, it could log in
 * there. A name alone, which anybody can claim, does not lead to what others have to prove themselves for.
 */

import type { ScsiAnswer, UnitRecord } from "../../../dataplane/messages.js";
import { accessSense } from "../../../dataplane/scsi/access-state.js";
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_RESERVE,
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE,
} from "../../../dataplane/scsi/command.js";
import { COPY_TARGET_DEVICE_NOT_REACHABLE, WRITE_PROTECTED } from "../../../dataplane/scsi/sense.js";
import { NAA_BYTES, naaOf } from "../../../dataplane/scsi/unit-name.js";
import type { Grant } from "../../access.js";
import type { Authentication } from "../../login/context.js";
import { type Session, type SessionIdentity, type SessionRegistry, sessionTypeOf } from "../../session-registry.js";
import { notReadyAnswer, RESERVATION_CONFLICT, senseAnswer } from "../answers.js";

const READ_CONFLICTS = COMMAND_CONFLICTS_EXCLUSIVE_ACCESS | COMMAND_CONFLICTS_RESERVE;
const WRITE_CONFLICTS = READ_CONFLICTS | COMMAND_CONFLICTS_WRITE_EXCLUSIVE;

/** A unit through one session. */
export interface Reach {
  readonly unitIndex: number;
  readonly session: Session;
}

export interface ReachesOptions {
  readonly registry: SessionRegistry;
  readonly units: { records(): readonly UnitRecord[] };
  /** Bits of COMMAND_CONFLICTS_*: what a reservation keeps the nexus from. */
  readonly blocked: (uuid: string, identity: SessionIdentity) => number;
  /** ACCESS_STATE_* of the unit through a portal group. */
  readonly accessState: (unit: UnitRecord, portalGroupTag: number) => number;
  /** What the configuration of the moment gives an initiator of a target through a portal group; undefined: nothing. */
  readonly grant: (targetName: string, portalGroupTag: number, initiatorName: string) => Grant | undefined;
}

export class Reaches {
  readonly #options: ReachesOptions;
  /** A unit's UUID -> its name, in hexadecimal. */
  readonly #names = new Map<string, string>();

  constructor(options: ReachesOptions) {
    this.#options = options;
  }

  /** Undefined: the initiator has no such unit. */
  find(session: Session, unitIndex: number): Reach | undefined {
    return this.#search(session, (unit) => unit.unitIndex === unitIndex);
  }

  /** By the NAA designator of its VPD page 83h. */
  findByName(session: Session, naa: Uint8Array): Reach | undefined {
    if (naa.length !== NAA_BYTES) return undefined;
    const wanted = Buffer.from(naa).toString("hex");
    return this.#search(session, ({ uuid }) => this.#nameOf(uuid) === wanted);
  }

  /** The unit as it is now; undefined: it is not served any more. */
  unit({ unitIndex }: Reach): UnitRecord | undefined {
    return this.#options.units.records().find((unit) => unit.unitIndex === unitIndex);
  }

  /** How the unit would refuse to be read, or written, through the session; undefined: it would not. */
  refusal(reach: Reach, writes: boolean): ScsiAnswer | undefined {
    const unit = this.unit(reach);
    const { session, unitIndex } = reach;
    const isSeen = this.#options.registry.session(session.sessionId)?.unitIndexes.includes(unitIndex) === true;
    if (unit === undefined || !isSeen) return senseAnswer(COPY_TARGET_DEVICE_NOT_REACHABLE);
    const ofPortalGroup = accessSense(this.#options.accessState(unit, Number(session.identity.portalGroup)));
    if (ofPortalGroup !== null) return senseAnswer(ofPortalGroup);
    const blocked = this.#options.blocked(unit.uuid, session.identity);
    if ((blocked & (writes ? WRITE_CONFLICTS : READ_CONFLICTS)) !== 0) return RESERVATION_CONFLICT;
    const { notReady, softwareWriteProtect } = unit.state;
    if (notReady !== null) return notReadyAnswer(notReady);
    const isReadOnly = unit.readOnly || softwareWriteProtect || this.#seesReadOnly(session, unit);
    return writes && isReadOnly ? senseAnswer(WRITE_PROTECTED) : undefined;
  }

  /** By all mappings that the configuration of the moment has. */
  #seesReadOnly(session: Session, { name }: UnitRecord): boolean {
    const luns = this.#grantOf(session)?.luns ?? [];
    return luns.every(({ unit, readOnly }) => unit !== name || readOnly);
  }

  #search(session: Session, isWanted: (unit: UnitRecord) => boolean): Reach | undefined {
    const unit = this.#options.units.records().find(isWanted);
    if (unit === undefined) return undefined;
    const own = this.#through(session, this.#grantOf(session), unit);
    if (own !== undefined) return own;
    for (const other of this.#options.registry.sessions()) {
      const found = other === session ? undefined : this.#through(other, this.#grantToo(session, other), unit);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** A LUN that was added after the session began is not its own yet. */
  #through(session: Session, grant: Grant | undefined, { name, unitIndex }: UnitRecord): Reach | undefined {
    const isMapped = grant?.luns.some(({ unit }) => unit === name) === true;
    return isMapped && session.unitIndexes.includes(unitIndex) ? { unitIndex, session } : undefined;
  }

  #grantOf({ identity }: Session): Grant | undefined {
    const { targetName, portalGroup, initiatorName } = identity;
    return this.#options.grant(targetName, Number(portalGroup), initiatorName);
  }

  /** What `other` gives to whoever has opened `session`. */
  #grantToo(session: Session, other: Session): Grant | undefined {
    if (sessionTypeOf(other) === "Discovery") return undefined;
    const { initiatorName, portalGroup } = session.identity;
    if (other.identity.initiatorName !== initiatorName || other.identity.portalGroup !== portalGroup) return undefined;
    const [own, theirs] = [this.#grantOf(session), this.#grantOf(other)];
    return own && theirs && admits(theirs, own, session.agreement.authentication) ? theirs : undefined;
  }

  #nameOf(uuid: string): string {
    const known = this.#names.get(uuid);
    if (known !== undefined) return known;
    const name = Buffer.from(naaOf(uuid)).toString("hex");
    this.#names.set(uuid, name);
    return name;
  }
}

/** Whether what was proved to one target is enough for another. */
function admits(other: Grant, own: Grant, authentication: Authentication): boolean {
  if (other.auth === null) return true;
  if (authentication.method !== "CHAP" || own.auth === null) return false;
  const proved = own.auth.chap.find(({ user }) => user === authentication.user);
  return other.auth.chap.some(
    ({ user, secret }) => user === proved?.user && secret.fingerprint === proved.secret.fingerprint,
  );
}

/**
 * I_T nexuses, as reservations know them: an initiator port (name and ISID) and a target port (name and portal group tag;
 * RFC 7143 section 4.4.2). A nexus outlives its sessions: one that comes back is the same.
 */
import type { SessionIdentity } from "../../session-registry.js";

export interface InitiatorPort {
  /** In normal form. */
  readonly initiatorName: string;
  /** Six bytes in hexadecimal, lower case. */
  readonly isid: string;
}

export interface Nexus extends InitiatorPort {
  /** In normal form. */
  readonly targetName: string;
  /** Of the port: relative-port.ts has its RELATIVE TARGET PORT IDENTIFIER, as VPD page 83 says. */
  readonly portalGroupTag: number;
}

/** Of a Normal session: the portal group of an unnamed discovery session is no number. */
export function nexusOf({ initiatorName, isid, targetName, portalGroup }: SessionIdentity): Nexus {
  return { initiatorName, isid, targetName, portalGroupTag: Number(portalGroup) };
}

/** Equal for equal nexuses. NUL stands in none of the parts. */
export function nexusKey({ initiatorName, isid, targetName, portalGroupTag }: Nexus): string {
  return `${initiatorName}\0${isid}\0${targetName}\0${portalGroupTag}`;
}

export function isSameInitiatorPort(one: InitiatorPort, other: InitiatorPort): boolean {
  return one.initiatorName === other.initiatorName && one.isid === other.isid;
}

/** The answers to SendTargets (RFC 7143 Appendix C): pure functions from portals and targets to key=value pairs. */
import { isIPv4, isIPv6 } from "node:net";
import { decodeText, encodeText, TEXT_VALID } from "../dataplane/wire/text-keys.js";
import { formatPortalAddress, type PortalAddress } from "./config/portal-address.js";

/** A portal as it listens: the port is the real one. */
export interface ListeningPortal {
  readonly tag: number;
  readonly address: PortalAddress;
}

/** What SendTargets needs to know of a target. */
export interface DiscoverableTarget {
  readonly name: string;
  /** Tags of its portal groups. */
  readonly portalGroups: readonly number[];
}

/**
 * Target records in the order given: for each a TargetName and all addresses of its portal groups.
 *
 * @param reachedBy the address by which the initiator reached us, which stands for a portal that listens on all addresses.
 * @returns pairs, each with its NUL, in latin1 (one character a byte); empty where there is no target.
 */
export function targetRecords(
  targets: readonly DiscoverableTarget[],
  portals: readonly ListeningPortal[],
  reachedBy: string,
): string {
  return targets.map((target) => targetRecord(target, portals, reachedBy)).join("");
}

function targetRecord(
  { name, portalGroups }: DiscoverableTarget,
  portals: readonly ListeningPortal[],
  reachedBy: string,
): string {
  const addresses = new Set<string>();
  for (const { tag, address } of portals) {
    if (!portalGroups.includes(tag)) continue;
    const host = reachableHost(address.host, reachedBy);
    // Section 13.8: within a SendTargets response, the portal group tag MUST be included.
    if (host !== undefined) addresses.add(`${formatPortalAddress({ host, port: address.port })},${tag}`);
  }
  const pairs = [
    { key: "TargetName", value: name },
    ...[...addresses].map((value) => ({ key: "TargetAddress", value })),
  ];
  return Buffer.from(encodeText(pairs)).toString("latin1");
}

/**
 * A wildcard says nothing to an initiator: in its place goes the address that it has used itself. One of the other
 * address family is left out: which of our addresses would do, we can't know.
 */
function reachableHost(host: string, reachedBy: string): string | undefined {
  if (host === "0.0.0.0") return isIPv4(reachedBy) ? reachedBy : undefined;
  if (host === "::") return isIPv6(reachedBy) ? withoutZone(reachedBy) : undefined;
  return withoutZone(host);
}

/** The zone of a link-local IPv6 address is our name for a link, not the initiator's. */
function withoutZone(host: string): string {
  return host.replace(/%.*$/, "");
}

/**
 * The value of SendTargets in a request that must hold nothing else (Appendix C: "exactly one text key and value").
 *
 * @param text pairs with their NULs, in latin1.
 * @returns undefined where the text is anything else.
 */
export function sendTargetsValue(text: string): string | undefined {
  const decoded = decodeText(Buffer.from(text, "latin1"));
  if (decoded.reason !== TEXT_VALID || decoded.pairs.length !== 1) return undefined;
  const [pair] = decoded.pairs;
  return pair?.key === "SendTargets" ? pair.value : undefined;
}

/** The answers to SendTargets (RFC 7143 Appendix C): pure functions from portals and targets to key=value pairs. */
import { decodeText, encodeText, TEXT_VALID } from "../dataplane/wire/text-keys.js";
import { formatPortalAddress, type PortalAddress } from "./config/portal-address.js";
import { normalizeName } from "./login/names.js";
import { addressFor } from "./reachability.js";

/** A portal as it listens: the port is the real one. */
export interface ListeningPortal {
  readonly tag: number;
  readonly address: PortalAddress;
}

/** What an initiator may be told of. */
export interface Offer {
  readonly targets: readonly DiscoverableTarget[];
  readonly portals: readonly ListeningPortal[];
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
    const told = addressFor(address, reachedBy);
    // Section 13.8: within a SendTargets response, the portal group tag MUST be included.
    if (told !== undefined) addresses.add(`${formatPortalAddress(told)},${tag}`);
  }
  const pairs = [
    { key: "TargetName", value: name },
    ...[...addresses].map((value) => ({ key: "TargetAddress", value })),
  ];
  return Buffer.from(encodeText(pairs)).toString("latin1");
}

/**
 * What SendTargets asks for: `All`, nothing, or a target by its name in normal form. undefined: none of these, of which "the value must
 * be one" (Appendix C). A name of whichever form may be somebody's, but for its beginning.
 */
export function normalizeSendTargets(value: string): string | undefined {
  if (value === "All" || value === "") return value;
  const name = normalizeName(value);
  return name !== undefined && /^(?:iqn|eui|naa)\./.test(name) ? name : undefined;
}

/**
 * The value of SendTargets, normalized, in a request that must hold nothing else (Appendix C: "exactly one text key and value").
 *
 * @param text pairs with their NULs, in latin1.
 * @returns undefined where the text is anything else.
 */
export function sendTargetsValue(text: string): string | undefined {
  const decoded = decodeText(Buffer.from(text, "latin1"));
  if (decoded.reason !== TEXT_VALID || decoded.pairs.length !== 1) return undefined;
  const [pair] = decoded.pairs;
  return pair?.key === "SendTargets" ? normalizeSendTargets(pair.value) : undefined;
}

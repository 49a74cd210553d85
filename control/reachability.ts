/** Our portals from an initiator's point of view: by which address, if any, it reaches each of them. */
import { isIPv4, isIPv6 } from "node:net";
import type { PortalAddress } from "./config/portal-address.js";

export type AddressFamily = "IPv4" | "IPv6";

/** Undefined of a host name, which may have addresses of both. */
export function familyOf(host: string): AddressFamily | undefined {
  const bare = withoutZone(host);
  return isIPv4(bare) ? "IPv4" : isIPv6(bare) ? "IPv6" : undefined;
}

/**
 * What to call the portal that listens at `address`, for an initiator that has reached us by `reachedBy`.
 *
 * A wildcard says nothing to an initiator: in its place goes the address that it has used itself. One of the other address
 * family is left out: which of our addresses would do, we can't know. So is a loopback address for whoever is on another
 * machine, where it means that machine.
 */
export function addressFor({ host, port }: PortalAddress, reachedBy: string): PortalAddress | undefined {
  if (host === "0.0.0.0") return isIPv4(reachedBy) ? { host: reachedBy, port } : undefined;
  if (host === "::") return isIPv6(withoutZone(reachedBy)) ? { host: withoutZone(reachedBy), port } : undefined;
  if (isLoopback(host) && !isLoopback(reachedBy)) return undefined;
  return { host: withoutZone(host), port };
}

function isLoopback(host: string): boolean {
  return host === "::1" || host === "localhost" || (isIPv4(host) && host.startsWith("127."));
}

/** The zone of a link-local IPv6 address is our name for a link, not the initiator's. */
export function withoutZone(host: string): string {
  return host.replace(/%.*$/, "");
}

/**
 * Where initiators are sent at login instead of being served here (RFC 7143 section 11.13.5, status class 1): where the
 * configuration says, to the portal that has the fewest sessions, or away from a portal that is being drained.
 *
 * Nobody is sent round in circles: who is where he would be sent is served, and so is who comes to where he was sent a moment
 * ago, even if it is no longer the best place. A connection that joins a session can't do so but in its portal group
 * (Appendix C), so it is never balanced.
 */
import type { Grant } from "./access.js";
import { formatPortalAddress, type PortalAddress } from "./config/portal-address.js";
import { ACCESS_STATE_NAMES, type Configuration, type RedirectConfiguration } from "./config/schema.js";
import type { ListeningPortal } from "./discovery.js";
import type { Entrance } from "./entrance.js";
import { REDIRECTION_MEMORY_MS, REDIRECTIONS_REMEMBERED_MAX } from "./limits.js";
import type { Redirect, TargetQuery } from "./login/context.js";
import { addressFor, familyOf, withoutZone } from "./reachability.js";
import { type Session, type SessionRegistry, sessionTypeOf } from "./session-registry.js";

/** What is out of service for the moment. */
export interface OutOfService {
  hasPortal(portal: ListeningPortal): boolean;
  hasTarget(name: string): boolean;
}

export type Rerouting =
  | (Redirect & { readonly beforeAuthentication: boolean })
  /** It cannot be served here, and there is no other place. */
  | { readonly kind: "unavailable"; readonly reason: string };

export interface RedirectionsOptions {
  readonly registry: SessionRegistry;
  readonly outOfService: OutOfService;
  configuration(): Configuration;
  /** All that listen. */
  portals(): readonly ListeningPortal[];
  /** Milliseconds, from anywhere on. */
  readonly nowMs?: () => number;
}

/** Somebody was sent to a portal, and will be there in a moment. */
interface Promised {
  readonly portal: string;
  readonly untilMs: number;
}

export class Redirections {
  readonly #options: RedirectionsOptions;
  readonly #nowMs: () => number;
  /** By nexus; oldest first. */
  readonly #promised = new Map<string, Promised>();

  constructor(options: RedirectionsOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** What becomes of a login that is allowed to reach its target; undefined: it is served where it has come to. */
  judge(query: TargetQuery, entrance: Entrance, { target, portalGroups }: Grant): Rerouting | undefined {
    const { outOfService } = this.#options;
    const rule = target.redirect ?? this.#groupRule(entrance.portal.tag);
    const beforeAuthentication = rule?.beforeAuthentication ?? false;
    if (query.tsih === 0 && rule !== null && rule.to !== null) {
      const to = this.#staticAddress(rule.to, entrance, portalGroups);
      if (to !== undefined) return redirectTo(to, rule.permanent, beforeAuthentication);
    }
    if (outOfService.hasTarget(target.name)) return { kind: "unavailable", reason: "the target is drained" };
    const isDrained = outOfService.hasPortal(entrance.portal);
    if (query.tsih !== 0) {
      if (!isDrained) return undefined;
      const to = this.#leastOf(this.#candidates(entrance, [entrance.portal.tag]), entrance, this.#load());
      return to === undefined ? DRAINED : redirectTo(to.address, false, beforeAuthentication);
    }
    if (!isDrained && (rule === null || rule.to !== null)) return undefined;
    const to = this.#balance(query, entrance, portalGroups);
    if (to === undefined) return isDrained ? DRAINED : undefined;
    if (to.portal === entrance.portal) return undefined;
    this.#promise(keyOf(query), nameOf(to.portal));
    return redirectTo(to.address, false, beforeAuthentication);
  }

  #groupRule(tag: number): RedirectConfiguration | null {
    return this.#options.configuration().portalGroups.find((group) => group.tag === tag)?.redirect ?? null;
  }

  /**
   * The address in the list that suits the initiator; undefined: it is at one of them, or would not be served at any. One of our own
   * portals is none for a target that is not there.
   */
  #staticAddress(
    to: readonly PortalAddress[],
    entrance: Entrance,
    portalGroups: readonly number[],
  ): PortalAddress | undefined {
    if (to.some(({ host, port }) => host === entrance.host && port === entrance.port)) return undefined;
    const serving = to.filter((address) => {
      const own = this.#options.portals().find((portal) => nameOf(portal) === formatPortalAddress(address));
      return own === undefined || (portalGroups.includes(own.tag) && !this.#options.outOfService.hasPortal(own));
    });
    const family = familyOf(entrance.host);
    return serving.find(({ host }) => [family, undefined].includes(familyOf(host))) ?? serving[0];
  }

  /** Where the nexus is at home already, or is expected; else where there are the fewest. */
  #balance(query: TargetQuery, entrance: Entrance, portalGroups: readonly number[]): Candidate | undefined {
    const candidates = this.#bestOf(this.#candidates(entrance, portalGroups));
    const load = this.#load();
    const key = keyOf(query);
    const home = load.homes.get(key) ?? this.#promised.get(key)?.portal;
    return candidates.find(({ portal }) => nameOf(portal) === home) ?? this.#leastOf(candidates, entrance, load);
  }

  /** The portals in these groups that serve, and that the initiator can reach: with the address for that. */
  #candidates(entrance: Entrance, portalGroups: readonly number[]): Candidate[] {
    const family = familyOf(entrance.host);
    return this.#options.portals().flatMap((portal) => {
      if (!portalGroups.includes(portal.tag) || this.#options.outOfService.hasPortal(portal)) return [];
      if (portal === entrance.portal) return [{ portal, address: { host: entrance.host, port: entrance.port } }];
      const address = addressFor(portal.address, entrance.host);
      return address !== undefined && [family, undefined].includes(familyOf(address.host)) ? [{ portal, address }] : [];
    });
  }

  /** Those in the best access state that any of them is configured to be in. */
  #bestOf(candidates: readonly Candidate[]): Candidate[] {
    const { portalGroups } = this.#options.configuration();
    const rank = ({ portal }: Candidate): number => {
      const group = portalGroups.find(({ tag }) => tag === portal.tag);
      return group === undefined ? ACCESS_STATE_NAMES.length : ACCESS_STATE_NAMES.indexOf(group.access.state);
    };
    const best = Math.min(...candidates.map(rank));
    return candidates.filter((candidate) => rank(candidate) === best);
  }

  /** That which the initiator is at, where no other has fewer. */
  #leastOf(candidates: readonly Candidate[], entrance: Entrance, { sessions }: Load): Candidate | undefined {
    const count = ({ portal }: Candidate): number => sessions.get(nameOf(portal)) ?? 0;
    const least = Math.min(...candidates.map(count));
    const fewest = candidates.filter((candidate) => count(candidate) === least);
    return fewest.find(({ portal }) => portal === entrance.portal) ?? fewest[0];
  }

  #load(): Load {
    const sessions = new Map<string, number>();
    const homes = new Map<string, string>();
    const count = (portal: string): void => void sessions.set(portal, (sessions.get(portal) ?? 0) + 1);
    for (const session of this.#options.registry.sessions()) {
      if (sessionTypeOf(session) !== "Normal") continue;
      const portals = portalsOf(session);
      for (const portal of portals) {
        count(portal);
        homes.set(keyOf(session.identity), portal);
      }
      if (portals.size > 0) this.#promised.delete(keyOf(session.identity));
    }
    const nowMs = this.#nowMs();
    for (const [key, { portal, untilMs }] of this.#promised) {
      if (untilMs < nowMs) this.#promised.delete(key);
      else count(portal);
    }
    return { sessions, homes };
  }

  #promise(key: string, portal: string): void {
    this.#promised.delete(key);
    this.#promised.set(key, { portal, untilMs: this.#nowMs() + REDIRECTION_MEMORY_MS });
    for (const oldest of this.#promised.keys()) {
      if (this.#promised.size <= REDIRECTIONS_REMEMBERED_MAX) break;
      this.#promised.delete(oldest);
    }
  }
}

interface Candidate {
  readonly portal: ListeningPortal;
  /** As the initiator knows it. */
  readonly address: PortalAddress;
}

interface Load {
  /** By portal: sessions, and who is expected. */
  readonly sessions: ReadonlyMap<string, number>;
  /** By nexus: the portal of its session. */
  readonly homes: ReadonlyMap<string, string>;
}

const DRAINED: Rerouting = { kind: "unavailable", reason: "the portal is drained, and no other will do" };

function redirectTo({ host, port }: PortalAddress, permanent: boolean, beforeAuthentication: boolean): Rerouting {
  const address = formatPortalAddress({ host: withoutZone(host), port });
  return { kind: "redirect", address, permanent, beforeAuthentication };
}

/** Through which a session has connections. */
function portalsOf({ connections }: Session): Set<string> {
  return new Set([...connections.values()].map(({ details }) => details.portal));
}

function nameOf({ address }: ListeningPortal): string {
  return formatPortalAddress(address);
}

/** An initiator's session of a target, whichever portal group it is in. */
function keyOf({
  initiatorName,
  isid,
  targetName,
}: Pick<TargetQuery, "initiatorName" | "isid" | "targetName">): string {
  return `${initiatorName}\0${isid}\0${targetName}`;
}

/** What Prometheus is told of each portal. There are as many series as portals are configured, and three times that for the state. */
import { Gauge, type Registry } from "prom-client";
import { formatPortalAddress } from "../config/portal-address.js";
import type { Server } from "../server.js";
import { sessionTypeOf } from "../session-registry.js";

export const PORTAL_STATES = ["serving", "draining", "drained"] as const;

export function addPortalMetrics(server: Server, registry: Registry): void {
  const registers = [registry];
  new Gauge({
    name: "ringlun_portal_connections",
    help: "Connections of Normal sessions that came through the portal.",
    labelNames: ["portal", "portal_group"],
    registers,
    collect() {
      this.reset();
      const counts = connectionsByPortal(server);
      for (const { tag, address } of server.portals) {
        const portal = formatPortalAddress(address);
        this.set({ portal, portal_group: tag }, counts.get(portal) ?? 0);
      }
    },
  });
  new Gauge({
    name: "ringlun_portal_state",
    help: "1 for the state that the portal is in, 0 for the others.",
    labelNames: ["portal", "portal_group", "state"],
    registers,
    collect() {
      this.reset();
      for (const listening of server.portals) {
        const current = server.drains.portalState(listening) ?? "serving";
        const labels = { portal: formatPortalAddress(listening.address), portal_group: listening.tag };
        for (const state of PORTAL_STATES) this.set({ ...labels, state }, state === current ? 1 : 0);
      }
    },
  });
}

/** Of Normal sessions. */
export function connectionsByPortal(server: Server): Map<string, number> {
  const counts = new Map<string, number>();
  for (const session of server.sessions) {
    if (sessionTypeOf(session) !== "Normal") continue;
    for (const { details, hasFailed } of session.connections.values()) {
      if (!hasFailed) counts.set(details.portal, (counts.get(details.portal) ?? 0) + 1);
    }
  }
  return counts;
}

/** What there is now, for people and programs. Nothing secret is in it. */
import { formatPortalAddress } from "../config/portal-address.js";
import type { Server } from "../server.js";
import { SHARD_NONE } from "../session-registry.js";
import { VERSION } from "../version.js";

export function status(server: Server) {
  const serving = new Set(server.shards.serving());
  return {
    version: VERSION,
    ready: server.isReady,
    startedAt: new Date(server.startedAtMs).toISOString(),
    portals: server.portals.map(({ tag, address }) => ({
      portalGroupTag: tag,
      address: formatPortalAddress(address),
    })),
    shards: Array.from({ length: server.shards.count }, (_, shard) => ({
      shard,
      serving: serving.has(shard),
      restarts: server.shards.restarts(shard),
    })),
    targets: server.configuration.targets.map(({ name, alias, portalGroups }) => ({ name, alias, portalGroups })),
    units: server.units.map((unit) => ({
      name: unit.name,
      uuid: unit.uuid,
      kind: unit.kind,
      sizeBytes: unit.state.sizeBytes,
      blockLengthBytes: unit.blockLengthBytes,
      cache: unit.cache,
      readOnly: unit.readOnly,
      thin: unit.thin,
    })),
    sessions: server.sessions.map(({ sessionId, tsih, shard, identity, connections }) => ({
      sessionId,
      type: shard === SHARD_NONE ? "Discovery" : "Normal",
      initiatorName: identity.initiatorName,
      targetName: identity.targetName === "" ? null : identity.targetName,
      isid: identity.isid,
      tsih,
      shard: shard === SHARD_NONE ? null : shard,
      connections: [...connections.values()].map(({ cid, details }) => ({ cid, peer: details.peer })),
    })),
  };
}

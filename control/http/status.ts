/** What there is now, for people and programs. Nothing secret is in it. */
import type { UnitRecord } from "../../dataplane/messages.js";
import { formatPortalAddress } from "../config/portal-address.js";
import type { Server } from "../server.js";
import { type Session, sessionTypeOf } from "../session-registry.js";
import { VERSION } from "../version.js";
import type { SessionDocument, State, Status, UnitDocument } from "./documents.js";
import { connectionsByPortal } from "./portal-metrics.js";

export function status(server: Server): Status {
  return { ...surroundings(server), sessions: server.sessions.map(sessionDocument) };
}

/** What is told often: of sessions only what tells them apart. */
export function state(server: Server): State {
  return {
    ...surroundings(server),
    sessions: server.sessions.map((session) => {
      const { isid, tsih, user, parameters, ...rest } = sessionDocument(session);
      return rest;
    }),
  };
}

function surroundings(server: Server): Omit<Status, "sessions"> {
  const readOnly = new Set(server.configuration.units.filter((unit) => unit.readOnly).map(({ name }) => name));
  const serving = new Set(server.shards.serving());
  const connections = connectionsByPortal(server);
  return {
    version: VERSION,
    ready: server.isReady,
    startedAt: new Date(server.startedAtMs).toISOString(),
    portals: server.portals.map((portal) => {
      const address = formatPortalAddress(portal.address);
      return {
        portalGroupTag: portal.tag,
        address,
        state: server.drains.portalState(portal) ?? "serving",
        connections: connections.get(address) ?? 0,
      };
    }),
    shards: Array.from({ length: server.shards.count }, (_, shard) => ({
      shard,
      serving: serving.has(shard),
      restarts: server.shards.restarts(shard),
    })),
    targets: server.configuration.targets.map(({ name, alias, portalGroups }) => ({
      name,
      alias,
      portalGroups: [...portalGroups],
      state: server.drains.targetState(name) ?? "serving",
    })),
    units: server.units.map((unit) => ({
      name: unit.name,
      uuid: unit.uuid,
      kind: unit.kind,
      sizeBytes: unit.state.sizeBytes,
      blockLengthBytes: unit.blockLengthBytes,
      cache: unit.cache,
      readOnly: unit.readOnly || readOnly.has(unit.name),
      thin: unit.thin,
      limits: limitsDocument(unit),
      paths: [...server.unitPaths(unit)],
    })),
  };
}

function limitsDocument({ limits }: UnitRecord): UnitDocument["limits"] {
  return limits && { iops: limits.iops, bytesPerSecond: limits.bytesPerSecond, burstSeconds: limits.burstSeconds };
}

export function sessionDocument(session: Session): SessionDocument {
  const { sessionId, tsih, shard, identity, connections, agreement } = session;
  const isNormal = sessionTypeOf(session) === "Normal";
  const { authentication, parameters } = agreement;
  return {
    sessionId,
    type: isNormal ? "Normal" : "Discovery",
    initiatorName: identity.initiatorName,
    targetName: identity.targetName === "" ? null : identity.targetName,
    portalGroupTag: isNormal ? Number(identity.portalGroup) : null,
    isid: identity.isid,
    tsih,
    shard: isNormal ? shard : null,
    user: authentication.method === "CHAP" ? authentication.user : null,
    parameters: { ...parameters },
    connections: [...connections.values()].map(({ cid, details }) => ({
      cid,
      peer: details.peer,
      portal: details.localHost,
      headerDigest: details.parameters.headerDigest,
      dataDigest: details.parameters.dataDigest,
    })),
  };
}

/** What there is now, for people and programs. Nothing secret is in it. */
import type { UnitRecord } from "../../dataplane/messages.js";
import { formatPortalAddress } from "../config/portal-address.js";
import type { Server } from "../server.js";
import { type Session, sessionTypeOf } from "../session-registry.js";
import { VERSION } from "../version.js";
import type { PortalDocument, SessionDocument, State, Status, TargetDocument, UnitDocument } from "./documents.js";
import type { Lazily } from "./parts.js";
import { connectionsByPortal } from "./portal-metrics.js";

export function status(server: Server): Lazily<Status> {
  return { ...surroundings(server), sessions: sessions(server) };
}

/** What is told often: of sessions only what tells them apart. */
export function state(server: Server): Lazily<State> {
  return { ...surroundings(server), sessions: briefly(sessions(server)) };
}

function* briefly(documents: Iterable<SessionDocument>): Iterable<State["sessions"][number]> {
  for (const { isid, tsih, user, parameters, ...rest } of documents) yield rest;
}

function surroundings(server: Server): Omit<Lazily<Status>, "sessions"> {
  const serving = new Set(server.shards.serving());
  return {
    version: VERSION,
    ready: server.isReady,
    startedAt: new Date(server.startedAtMs).toISOString(),
    portals: portals(server),
    shards: Array.from({ length: server.shards.count }, (_, shard) => ({
      shard,
      serving: serving.has(shard),
      restarts: server.shards.restarts(shard),
    })),
    targets: targets(server),
    units: units(server),
  };
}

export function* portals(server: Server): Iterable<PortalDocument> {
  const connections = connectionsByPortal(server);
  for (const portal of server.portals) {
    const address = formatPortalAddress(portal.address);
    yield {
      portalGroupTag: portal.tag,
      address,
      state: server.drains.portalState(portal) ?? "serving",
      connections: connections.get(address) ?? 0,
    };
  }
}

export function* targets(server: Server): Iterable<TargetDocument> {
  for (const { name, alias, portalGroups } of server.configuration.targets) {
    yield { name, alias, portalGroups: [...portalGroups], state: server.drains.targetState(name) ?? "serving" };
  }
}

export function* units(server: Server): Iterable<UnitDocument> {
  const readOnly = new Set(server.configuration.units.filter((unit) => unit.readOnly).map(({ name }) => name));
  for (const unit of server.units) {
    yield {
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
    };
  }
}

export function* sessions(server: Server): Iterable<SessionDocument> {
  for (const session of server.sessions) yield sessionDocument(session);
}

function limitsDocument({ limits }: UnitRecord): UnitDocument["limits"] {
  return limits && { iops: limits.iops, bytesPerSecond: limits.bytesPerSecond, burstSeconds: limits.burstSeconds };
}

function sessionDocument(session: Session): SessionDocument {
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

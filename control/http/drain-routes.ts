/** Drains over HTTP: what is taken out of service, how far that has come, and back again. */
import type { FastifyReply } from "fastify";
import * as z from "zod";
import { meantHint } from "../config/nearest.js";
import { formatPortalAddress, ISCSI_PORT, parsePortalAddress } from "../config/portal-address.js";
import type { DrainProgress, DrainScope } from "../drains.js";
import { DRAIN_TIMEOUT_DEFAULT_S, DRAIN_TIMEOUT_MAX_S, HTTP_BODY_LENGTH_MAX } from "../limits.js";
import type { Server } from "../server.js";
import { mapName } from "../stringprep.js";
import * as documents from "./documents.js";
import { problem, type Route } from "./route.js";

const scope = {
  portal: z.string().exactOptional().describe("As it listens: `192.0.2.1:3260`."),
  portalGroup: z.int().exactOptional().describe("Its tag."),
  target: z.string().exactOptional().describe("Its name."),
};

const asked = z
  .strictObject({
    ...scope,
    timeout: z
      .number()
      .min(1)
      .max(DRAIN_TIMEOUT_MAX_S)
      .default(DRAIN_TIMEOUT_DEFAULT_S)
      .describe("Seconds that initiators are given to log out in; then they are dropped."),
  })
  .refine(
    ({ portal, portalGroup, target }) => [portal, portalGroup, target].filter((it) => it !== undefined).length === 1,
    {
      error: "name one of portal, portalGroup and target",
    },
  );

export const drain = z.strictObject({
  drainId: z.int(),
  ...scope,
  state: z
    .enum(["draining", "drained"])
    .describe(
      "drained: none of its sessions is left. It stays out of service until the drain is undone, or the program ends.",
    ),
  startedAt: z.iso.datetime(),
  timeout: z.number(),
  found: z.int().describe("Connections that were asked to log out."),
  loggedOut: z.int(),
  dropped: z.int().describe("Those that did not log out in time."),
  lost: z.int().describe("Those that ended in other ways."),
  connections: z.int().describe("Those that are left."),
  sessions: z.int().describe("Sessions that are left."),
});

export type DrainDocument = z.output<typeof drain>;

const drainId = z.object({ drainId: z.coerce.number().int().min(1) });

export const DRAIN_ROUTES: readonly Route[] = [
  {
    method: "GET",
    url: "/api/v1/drains",
    operationId: "getDrains",
    summary: "What is out of service, or is being taken out of it",
    isPrivileged: false,
    answers: { 200: { description: "Drains", schema: z.array(drain) } },
    handle: ({ server }) => server.drains.all.map(drainDocument),
  },
  {
    method: "POST",
    url: "/api/v1/drains",
    operationId: "beginDrain",
    summary:
      "Takes a portal, a portal group or a target out of service: nobody logs in there any more, whoever is there is asked to log out",
    isPrivileged: true,
    body: { type: "application/json", schema: asked },
    bodyLimit: HTTP_BODY_LENGTH_MAX,
    answers: {
      201: { description: "It has begun", schema: drain },
      404: { description: "There is nothing of that name", schema: documents.problem },
      409: { description: "It is drained already, or is being drained", schema: documents.problem },
    },
    handle: ({ server }, { body }, reply) => {
      const wanted = body as z.output<typeof asked>;
      const found = scopeOf(wanted, server);
      if (typeof found === "string") return problem(reply, 404, found);
      const begun = server.drains.begin(found, wanted.timeout * 1000);
      if (begun === undefined)
        return problem(reply, 409, "it is drained already, or is being drained: undo that first");
      reply.code(201);
      return drainDocument(begun);
    },
  },
  {
    method: "GET",
    url: "/api/v1/drains/:drainId",
    operationId: "getDrain",
    summary: "How far a drain has come",
    isPrivileged: false,
    params: drainId,
    answers: {
      200: { description: "The drain", schema: drain },
      404: { description: "There is none of this number, or it is undone", schema: documents.problem },
    },
    handle: ({ server }, { params }, reply) =>
      answerOf(params.drainId as number, server.drains.get(params.drainId as number), reply),
  },
  {
    method: "DELETE",
    url: "/api/v1/drains/:drainId",
    operationId: "undoDrain",
    summary: "Puts it in service again; who has not logged out yet may stay",
    isPrivileged: true,
    params: drainId,
    answers: {
      200: { description: "How far it had come", schema: drain },
      404: { description: "There is none of this number, or it is undone", schema: documents.problem },
    },
    handle: ({ server }, { params }, reply) =>
      answerOf(params.drainId as number, server.drains.undo(params.drainId as number), reply),
  },
];

/** What is meant, or why there is nothing of that name. */
function scopeOf({ portal, portalGroup, target }: z.output<typeof asked>, server: Server): DrainScope | string {
  const { portalGroups, targets } = server.configuration;
  if (portal !== undefined) {
    const parse = parsePortalAddress(portal, ISCSI_PORT);
    const name = parse.ok ? formatPortalAddress(parse.address) : portal;
    const names = server.portals.map(({ address }) => formatPortalAddress(address));
    return names.includes(name)
      ? { kind: "portal", portal: name }
      : `no portal listens at ${name}; there are ${names.join(", ")}`;
  }
  if (portalGroup !== undefined) {
    return portalGroups.some(({ tag }) => tag === portalGroup)
      ? { kind: "portalGroup", tag: portalGroup }
      : `no portal group has the tag ${portalGroup}; there are ${portalGroups.map(({ tag }) => tag).join(", ")}`;
  }
  const name = mapName(target ?? "");
  const names = targets.map((one) => one.name);
  return names.includes(name)
    ? { kind: "target", target: name }
    : `there is no target ${target}${meantHint(name, names)}`;
}

function answerOf(drainId: number, progress: DrainProgress | undefined, reply: FastifyReply) {
  return progress === undefined ? problem(reply, 404, `no drain ${drainId}`) : drainDocument(progress);
}

function drainDocument({ drain, state, connections, sessions }: DrainProgress): DrainDocument {
  const { id, scope, startedAtMs, timeoutMs, found, loggedOut, dropped, lost } = drain;
  return {
    drainId: id,
    ...(scope.kind === "portal" ? { portal: scope.portal } : {}),
    ...(scope.kind === "portalGroup" ? { portalGroup: scope.tag } : {}),
    ...(scope.kind === "target" ? { target: scope.target } : {}),
    state,
    startedAt: new Date(startedAtMs).toISOString(),
    timeout: timeoutMs / 1000,
    found,
    loggedOut,
    dropped,
    lost,
    connections,
    sessions,
  };
}

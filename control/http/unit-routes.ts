/** Units and LUNs over HTTP: what is created, changed, mapped and deleted by itself. */
import * as z from "zod";
import { type LunEdit, type LunPlace, mapLun, unmapLun } from "../config/edits/luns.js";
import { CACHE_MODES } from "../config/schema.js";
import { HTTP_BODY_LENGTH_MAX } from "../limits.js";
import type { DeletionResult } from "../unit-administration.js";
import { answerChange, CHANGE_ANSWERS } from "./changes.js";
import * as documents from "./documents.js";
import { problem, type Route } from "./route.js";

const JSON_TYPE = "application/json";

const unitName = z.string().min(1).max(255).describe("Name of the unit.");
const lun = z.int().min(0).max(16_383);
const initiator = z
  .string()
  .min(1)
  .max(255)
  .describe("Name, pattern or group of an entry in the target's `initiators`.");
const flag = z.enum(["true", "false"]).default("false");

/** Keys of `units.NAME` in the configuration: those that are named here, and all others that it knows. */
const unitKeys = {
  file: z.string().describe("Path on the server; relative to the configuration file."),
  null: z.literal(true, { error: "can only be true" }),
  size: z.union([z.int().min(1), z.string()], { error: "write bytes, or as 10GiB" }).describe("Bytes, or as 10GiB."),
  blockLength: z.literal([512, 4096], { error: "write 512 or 4096" }),
  cache: z.enum(CACHE_MODES, { error: `write one of ${CACHE_MODES.join(", ")}` }),
  readOnly: z.boolean({ error: "write true or false" }),
};

const mapping = z.strictObject({
  target: z.string(),
  lun,
  initiator: initiator.exactOptional(),
  readOnly: z.boolean().exactOptional(),
});

const newUnit = z.object({
  name: unitName,
  preallocate: z
    .boolean()
    .default(false)
    .describe("Give the file all of its blocks first: answered with 202 and what to ask how far it is."),
  maps: z.array(mapping).max(64).default([]).describe("Where it is to be seen."),
  ...optional(unitKeys),
});

const changedUnit = z.object({
  name: unitName.exactOptional().describe("Another name; it stays the same disk to those who use it."),
  ...optional(unitKeys),
});

const NOT_FOUND = { description: "There is none of that name; nothing has changed", schema: documents.refused };
const ANSWERS = { ...CHANGE_ANSWERS, 404: NOT_FOUND };

const lunOfTarget = z.object({ target: z.string(), lun: z.coerce.number().pipe(lun) });
const ofInitiator = z.object({ initiator: initiator.exactOptional() });

const creationId = z.object({ id: z.coerce.number().int().min(1) });
const NO_CREATION = { description: "There is none of that number", schema: documents.problem };

export const UNIT_ROUTES: readonly Route[] = [
  {
    method: "POST",
    url: "/api/v1/units",
    operationId: "createUnit",
    summary: "Adds a unit, with its LUNs; its file is made where it is not there and a size is given",
    isPrivileged: true,
    body: { type: JSON_TYPE, schema: newUnit.loose() },
    bodyLimit: HTTP_BODY_LENGTH_MAX,
    answers: {
      ...ANSWERS,
      202: { description: "It is being made: /api/v1/creations/{id}", schema: documents.creation },
    },
    handle: async ({ administration, server }, { body }, reply) => {
      const { name, maps, preallocate, ...keys } = body as z.output<typeof newUnit>;
      const request = { name, keys, mappings: maps };
      if (!preallocate) return answerChange(administration, await server.unitAdministration.create(request), reply);
      const begun = await server.unitCreations.begin(request);
      if (!begun.ok) return answerChange(administration, begun, reply);
      reply.code(202);
      return begun.creation;
    },
  },
  {
    method: "GET",
    url: "/api/v1/creations",
    operationId: "getCreations",
    summary: "Units whose files are being made, and those that were last",
    isPrivileged: true,
    answers: { 200: { description: "Creations", schema: z.array(documents.creation) } },
    handle: ({ server }) => server.unitCreations.list(),
  },
  {
    method: "GET",
    url: "/api/v1/creations/:id",
    operationId: "getCreation",
    summary: "How far the creation of a unit is",
    isPrivileged: true,
    params: creationId,
    answers: { 200: { description: "The creation", schema: documents.creation }, 404: NO_CREATION },
    handle: ({ server }, { params }, reply) =>
      server.unitCreations.find(params.id as number) ?? problem(reply, 404, `no creation ${params.id}`),
  },
  {
    method: "DELETE",
    url: "/api/v1/creations/:id",
    operationId: "cancelCreation",
    summary: "Cancels the creation of a unit; nothing of its file is left",
    isPrivileged: true,
    params: creationId,
    answers: { 200: { description: "How it has ended", schema: documents.creation }, 404: NO_CREATION },
    handle: async ({ server }, { params }, reply) =>
      (await server.unitCreations.cancel(params.id as number)) ?? problem(reply, 404, `no creation ${params.id}`),
  },
  {
    method: "PATCH",
    url: "/api/v1/units/:name",
    operationId: "changeUnit",
    summary: "Changes keys of a unit, as in the configuration; null takes one away. A unit never shrinks",
    isPrivileged: true,
    params: z.object({ name: unitName }),
    body: { type: JSON_TYPE, schema: changedUnit.loose() },
    bodyLimit: HTTP_BODY_LENGTH_MAX,
    answers: ANSWERS,
    handle: async ({ administration, server }, { params, body }, reply) => {
      const { name, ...keys } = body as z.output<typeof changedUnit>;
      const result = await server.unitAdministration.change(params.name as string, keys, name);
      return answerChange(administration, result, reply);
    },
  },
  {
    method: "DELETE",
    url: "/api/v1/units/:name",
    operationId: "deleteUnit",
    summary: "Removes a unit that is not mapped; its file stays unless it is to be deleted too",
    isPrivileged: true,
    params: z.object({ name: unitName }),
    query: z.object({
      force: flag.describe("With its LUNs, wherever it is mapped; sessions that see it end."),
      deleteFile: flag.describe("Its file too, with all that is on it."),
    }),
    answers: { ...ANSWERS, 200: { description: "It is gone", schema: documents.unitDeleted } },
    handle: async ({ administration, server }, { params, query }, reply) => {
      const options = { force: query.force === "true", deleteFile: query.deleteFile === "true" };
      const result: DeletionResult = await server.unitAdministration.delete(params.name as string, options);
      const answer = answerChange(administration, result, reply);
      return result.ok ? { ...answer, file: result.file ?? null } : answer;
    },
  },
  {
    method: "PUT",
    url: "/api/v1/targets/:target/luns/:lun",
    operationId: "mapLun",
    summary: "Shows a unit as a LUN of a target, to all its initiators or to one; one that is another unit stays",
    isPrivileged: true,
    params: lunOfTarget,
    query: ofInitiator,
    body: { type: JSON_TYPE, schema: z.strictObject({ unit: unitName, readOnly: z.boolean().exactOptional() }) },
    bodyLimit: HTTP_BODY_LENGTH_MAX,
    answers: ANSWERS,
    handle: async ({ administration }, { params, query, body }, reply) => {
      const edit = { ...params, ...query, ...(body as object) } as unknown as LunEdit;
      return answerChange(administration, await administration.edit((yaml) => mapLun(yaml, edit)), reply);
    },
  },
  {
    method: "DELETE",
    url: "/api/v1/targets/:target/luns/:lun",
    operationId: "unmapLun",
    summary: "Takes a LUN away; sessions that see it go on without it, and are told",
    isPrivileged: true,
    params: lunOfTarget,
    query: ofInitiator,
    answers: ANSWERS,
    handle: async ({ administration }, { params, query }, reply) => {
      const place = { ...params, ...query } as unknown as LunPlace;
      return answerChange(administration, await administration.edit((yaml) => unmapLun(yaml, place)), reply);
    },
  },
];

function optional<Shape extends Record<string, z.ZodType>>(
  shape: Shape,
): { [Key in keyof Shape]: z.ZodExactOptional<z.ZodNullable<Shape[Key]>> } {
  return Object.fromEntries(
    Object.entries(shape).map(([key, schema]) => [key, schema.nullable().exactOptional()]),
  ) as never;
}

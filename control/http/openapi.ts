/** The description of the API, made from its routes: what is described is what is checked. */
import * as z from "zod";
import { VERSION } from "../version.js";
import * as documents from "./documents.js";
import type { Route, RouteAnswer } from "./route.js";

const JSON_TYPE = "application/json";

/** OpenAPI 3.1. */
export function openApi(routes: readonly Route[]) {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = route.url.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Ringlun",
      version: VERSION,
      description:
        "State and administration of an iSCSI target. What changes something needs the UNIX socket, or a bearer token.",
    },
    paths,
    components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
  };
}

function operation(route: Route): object {
  const { operationId, summary, isPrivileged, params, query, body, answers } = route;
  const all: Record<number, RouteAnswer> = {
    ...answers,
    421: { description: "The Host header names another server", schema: documents.problem },
  };
  if (isPrivileged) {
    all[401] = { description: "It needs the socket, or a token", schema: documents.problem };
    all[403] ??= { description: "It came from a web page of another origin", schema: documents.problem };
  }
  if (params ?? query ?? body) all[400] ??= { description: "What was sent has faults", schema: documents.problem };
  return {
    operationId,
    summary,
    ...(isPrivileged ? { security: [{ token: [] }] } : {}),
    parameters: [...parameters(params, "path"), ...parameters(query, "query")],
    ...(body === undefined ? {} : { requestBody: { required: true, content: content(body.type, body.schema) } }),
    responses: Object.fromEntries(
      Object.entries(all).map(([code, { description, type = JSON_TYPE, schema }]) => [
        code,
        { description, content: content(type, schema) },
      ]),
    ),
  };
}

function parameters(schema: z.ZodObject | undefined, place: "path" | "query"): object[] {
  if (schema === undefined) return [];
  const { properties = {} } = jsonSchema(schema) as { properties?: Record<string, object> };
  return Object.entries(properties).map(([name, property]) => ({
    name,
    in: place,
    required: place === "path",
    schema: property,
  }));
}

function content(type: string, schema: z.ZodType): object {
  return { [type]: { schema: jsonSchema(schema) } };
}

function jsonSchema(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input" });
  return rest;
}

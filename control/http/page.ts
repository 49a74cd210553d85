/** The page at /, for browsers: files that the build has put beside this one, and nothing from anywhere else. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname } from "node:path";
import * as z from "zod";
import type { Route } from "./route.js";

const FOLDER = new URL("../page/", import.meta.url);
const DOCUMENT = "index.html";

/** What is served; other files in the folder are the compiler's. */
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Scripts and styles are files of this server; it talks to this server alone, and is in nobody's frame. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // Asked for again each time, and told that nothing has changed.
  "cache-control": "no-cache",
};

/** They are read once: what runs and what is served belong together. @throws where the build is not whole. */
export function pageRoutes(): Route[] {
  return (readdirSync(FOLDER, { recursive: true, encoding: "utf8" }) as string[]).flatMap((path) => {
    const type = TYPES[extname(path)];
    return type === undefined ? [] : [fileRoute(path, type)];
  });
}

function fileRoute(path: string, type: string): Route {
  const bytes = readFileSync(new URL(path, FOLDER));
  const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
  return {
    method: "GET",
    url: path === DOCUMENT ? "/" : `/page/${path}`,
    operationId: `getPage:${path}`,
    summary: "A file of the page",
    isPrivileged: false,
    answers: { 200: { description: "The file", type, schema: z.string() } },
    handle: (_context, _input, reply, request) => {
      reply.headers({ ...HEADERS, etag });
      if (request.headers["if-none-match"] === etag) return reply.code(304).send();
      reply.type(type);
      return bytes;
    },
  };
}

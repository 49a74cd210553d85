/** Who asks: the owner of the socket, the holder of a token, or anybody. */
import { createHash, timingSafeEqual } from "node:crypto";
import type { ApiToken } from "../config/schema.js";

export type Asker =
  | { readonly kind: "socket" }
  | { readonly kind: "token"; readonly name: string }
  | { readonly kind: "anybody" };

/** `header`: Authorization, of a request over TCP. Takes the same time for every token that is wrong. */
export function askerOf(header: string | undefined, tokens: readonly ApiToken[]): Asker {
  const [, given] = /^Bearer +(\S+)$/i.exec(header ?? "") ?? [];
  if (given === undefined) return { kind: "anybody" };
  let found: ApiToken | undefined;
  for (const token of tokens) {
    if (timingSafeEqual(hash(Buffer.from(given)), hash(token.secret.bytes()))) found = token;
  }
  return found === undefined ? { kind: "anybody" } : { kind: "token", name: found.name };
}

function hash(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

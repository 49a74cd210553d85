/** The initiator's side of CHAP, apart from the code under test. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";

const CHAP_HASHES: Readonly<Record<number, string>> = { 5: "md5", 6: "sha1", 7: "sha256", 8: "sha3-256" };

/** CHAP_R (RFC 1994): the hash of identifier, secret, challenge. */
export function chapResponse(algorithm: number, identifier: number, secret: string, challenge: Uint8Array): Buffer {
  const hash = CHAP_HASHES[algorithm];
  assert(hash !== undefined, `CHAP_A=${algorithm}`);
  return createHash(hash)
    .update(Buffer.from([identifier]))
    .update(secret, "utf8")
    .update(challenge)
    .digest();
}

/** A binary value of a key: 0x... hexadecimal or 0b... base64 (RFC 7143 section 6.1). */
export function decodeBinary(text: string): Buffer {
  if (/^0x/i.test(text)) return Buffer.from(text.slice(2).padStart((text.length - 1) & ~1, "0"), "hex");
  if (/^0b/i.test(text)) return Buffer.from(text.slice(2), "base64");
  throw new Error(`not a binary value: ${text}`);
}

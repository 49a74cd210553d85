/** A secret that does not show. */
import { createHmac, randomBytes } from "node:crypto";

/** Known to this process only: a fingerprint that gets into a log cannot be searched for the secret behind it. */
const FINGERPRINT_KEY = randomBytes(32);
const FINGERPRINT_DIGITS = 32;

/**
 * A CHAP secret (RFC 7143 section 9.2.1). The bytes are reached by `bytes()` alone, so that printing, logging or
 * serialising a configuration cannot show them. `fingerprint` is an ordinary property: two secrets of one process are
 * equal exactly when their fingerprints are, which makes deep comparisons of configurations see a changed secret.
 */
export class Secret {
  readonly #bytes: Uint8Array;
  readonly fingerprint: string;

  constructor(bytes: Uint8Array) {
    this.#bytes = Uint8Array.from(bytes);
    this.fingerprint = createHmac("sha256", FINGERPRINT_KEY).update(bytes).digest("hex").slice(0, FINGERPRINT_DIGITS);
  }

  /** The secret itself. The caller must not change it, and must not keep it longer than it computes a response. */
  bytes(): Uint8Array {
    return this.#bytes;
  }
}

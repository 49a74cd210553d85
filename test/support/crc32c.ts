/** The oracle of the digests: fast-crc32c, which shares no code with the addon. */
import { createRequire } from "node:module";

const { calculate } = createRequire(import.meta.url)("fast-crc32c") as {
  calculate(bytes: Uint8Array, seed?: number): number;
};

/** CRC32C as the four bytes that go on the wire, least significant first (RFC 7143 section 13.1). */
export function digestOf(...parts: readonly Uint8Array[]): Buffer {
  let crc = 0;
  for (const part of parts) crc = calculate(part, crc);
  const digest = Buffer.alloc(4);
  digest.writeUInt32LE(crc >>> 0);
  return digest;
}

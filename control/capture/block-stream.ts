/** A pcapng file that comes in pieces, as whole blocks. */

const BLOCK_BYTES_MIN = 12;
/** Longer than any that we make: what comes is no such file. */
const BLOCK_BYTES_MAX = 1024 * 1024;

/** @throws where it is no pcapng. What is not whole at the end is left out. */
export async function* blocksOf(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of pieces) {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let at = 0;
    while (rest.length - at >= BLOCK_BYTES_MIN) {
      const length = rest.readUInt32LE(at + 4);
      if (length < BLOCK_BYTES_MIN || length > BLOCK_BYTES_MAX) throw new Error("what comes is no pcapng file");
      if (rest.length - at < length) break;
      yield rest.subarray(at, at + length);
      at += length;
    }
    rest = rest.subarray(at);
  }
}

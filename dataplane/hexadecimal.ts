/** Bytes as text, for messages to control. */
export function hexadecimal(bytes: Uint8Array, offset: number, length: number): string {
  return length === 0 ? "" : Buffer.from(bytes.slice(offset, offset + length)).toString("hex");
}

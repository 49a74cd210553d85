/**
 * Text of Login and Text PDUs (RFC 7143 section 6.1): UTF-8, every pair followed by one NUL.
 *
 *      I n i t i a t o r N a m e = i q n . ... 00 T a r g e t N a m e = i q n . ... 00
 *      \_______ key _________/     \_ value _/
 *
 * The key ends at the first "="; the value may hold more of them. What is decoded here is a whole logical text data
 * segment: the data segments of all PDUs up to and with the first whose C bit is 0, put together by the caller, who also
 * bounds their sum. One pass, whose cost is linear in the bytes, however they are cut into pairs. Control plane only: this
 * allocates.
 */

/** In bytes: "must not exceed 63 characters", which in a key are ASCII. */
export const KEY_LENGTH_MAX = 63;
/** In bytes: the longest simple-value, where its key says nothing else. A binary's encoded form may be longer. */
export const SIMPLE_VALUE_LENGTH_MAX = 255;
/** In bytes: the key=value data of one negotiation that everybody must be able to receive. */
export const TEXT_LENGTH_GUARANTEED = 8192;

export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

export const TEXT_VALID = 0;
export const TEXT_UNTERMINATED = 1;
export const TEXT_WITHOUT_SEPARATOR = 2;
export const TEXT_KEY_EMPTY = 3;
export const TEXT_KEY_TOO_LONG = 4;
export const TEXT_KEY_CHARACTER = 5;
export const TEXT_VALUE_TOO_LONG = 6;
export const TEXT_VALUE_NOT_UTF8 = 7;

const TEXT_REASONS: readonly string[] = [
  "valid",
  "the last pair does not end in NUL",
  'a pair has no "="',
  "a key is empty",
  "a key is longer than 63 bytes",
  "a key contains a character other than those of a standard-label",
  "a value is too long",
  "a value is not UTF-8",
];

export type TextReason = 1 | 2 | 3 | 4 | 5 | 6 | 7;

/** The pairs in their order, repeated keys included; or why there are none, and the byte where the faulty pair begins. */
export type DecodedText =
  | { readonly reason: typeof TEXT_VALID; readonly pairs: readonly KeyValue[] }
  | { readonly reason: TextReason; readonly offset: number };

/** One phrase for logs. */
export function describeText(reason: number): string {
  return TEXT_REASONS[reason] ?? `unknown reason ${reason}`;
}

const NUL = 0x00;
const SEPARATOR = 0x3d;

/**
 * By byte: 1 if it may stand in a key. A standard-label's letters, digits and . - + @ _; and the # of the X# keys that
 * section 13.26 still has. That a label begins with a capital is not asked: such a key is merely not understood.
 */
const KEY_CHARACTERS = new Uint8Array(256);
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-+@_#") {
  KEY_CHARACTERS[character.charCodeAt(0)] = 1;
}

// A byte order mark is part of a value like any other character.
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** `bytes` is only read, and nothing of it is kept. `valueLengthMax` is in bytes and goes for every value. */
export function decodeText(bytes: Uint8Array, valueLengthMax = TEXT_LENGTH_GUARANTEED): DecodedText {
  const pairs: KeyValue[] = [];
  let begin = 0;
  while (begin < bytes.length) {
    const separator = keyEnd(bytes, begin);
    if (separator < 0) return { reason: -separator as TextReason, offset: begin };
    const end = bytes.indexOf(NUL, separator + 1);
    if (end < 0) return { reason: TEXT_UNTERMINATED, offset: begin };
    if (end - separator - 1 > valueLengthMax) return { reason: TEXT_VALUE_TOO_LONG, offset: begin };
    const value = decodeUtf8(bytes.subarray(separator + 1, end));
    if (value === undefined) return { reason: TEXT_VALUE_NOT_UTF8, offset: begin };
    pairs.push({ key: utf8.decode(bytes.subarray(begin, separator)), value });
    begin = end + 1;
  }
  return { reason: TEXT_VALID, pairs };
}

/** The bytes of `pairs`, to be cut into data segments anywhere. Throws RangeError for a pair that cannot be sent. */
export function encodeText(pairs: Iterable<KeyValue>): Uint8Array {
  const parts: string[] = [];
  for (const { key, value } of pairs) {
    if (!isKey(key)) throw new RangeError(`not a key: ${JSON.stringify(key)}`);
    if (value.includes("\0")) throw new RangeError(`value of ${key} contains NUL`);
    parts.push(key, "=", value, "\0");
  }
  return encoder.encode(parts.join(""));
}

/**
 * How much of a text (pairs with their NULs, one character a byte) goes into a data segment of `lengthMax` bytes. A pair
 * may span PDUs (section 11.10.5), but there are initiators that parse each PDU by itself: the cut is behind the last
 * whole pair that fits, and inside a pair only where that alone is too long.
 */
export function textPartLength(text: string, lengthMax: number): number {
  if (text.length <= lengthMax) return text.length;
  const end = text.lastIndexOf("\0", lengthMax - 1);
  return end === -1 ? lengthMax : end + 1;
}

/** Position of the "=" behind the key at `begin`, or the negated reason why there is no key. */
function keyEnd(bytes: Uint8Array, begin: number): number {
  const limit = Math.min(bytes.length, begin + KEY_LENGTH_MAX + 1);
  for (let position = begin; position < limit; position++) {
    const byte = bytes[position]!;
    if (byte === SEPARATOR) return position === begin ? -TEXT_KEY_EMPTY : position;
    if (byte === NUL) return -TEXT_WITHOUT_SEPARATOR;
    if (KEY_CHARACTERS[byte] === 0) return -TEXT_KEY_CHARACTER;
  }
  return limit - begin > KEY_LENGTH_MAX ? -TEXT_KEY_TOO_LONG : -TEXT_UNTERMINATED;
}

function isKey(key: string): boolean {
  if (key.length === 0 || key.length > KEY_LENGTH_MAX) return false;
  for (let index = 0; index < key.length; index++) {
    if (KEY_CHARACTERS[key.charCodeAt(index)] !== 1) return false;
  }
  return true;
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

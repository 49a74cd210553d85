/** Numbered records that tell whether they are whole: a sequence number, noise that depends on it, a checksum. */

const SEQUENCE_BYTES = 4;
const CHECKSUM_BYTES = 4;
export const NUMBERED_LENGTH_MIN = SEQUENCE_BYTES + CHECKSUM_BYTES;

const next = (noise: number): number => {
  noise ^= noise << 13;
  noise ^= noise >>> 17;
  return noise ^ (noise << 5);
};

/** xorshift must not start from 0: the multiplier is odd and the number is made odd first. */
const seed = (sequence: number): number => Math.imul(sequence * 2 + 1, 0x9e3779b1);

/** 8 to 135 bytes, at all alignments; every 4,096th record is long. */
export const numberedLength = (sequence: number, lengthMax: number): number =>
  sequence % 4096 === 4095 ? lengthMax - ((sequence >>> 12) % 8) : NUMBERED_LENGTH_MIN + (seed(sequence) >>> 25);

export function fillNumbered(view: DataView, offset: number, length: number, sequence: number): void {
  const end = offset + length - CHECKSUM_BYTES;
  view.setUint32(offset, sequence);
  let noise = seed(sequence);
  let sum = sequence;
  let at = offset + SEQUENCE_BYTES;
  for (; at + 4 <= end; at += 4) {
    noise = next(noise);
    view.setInt32(at, noise);
    sum = Math.imul(sum ^ noise, 0x01000193);
  }
  for (; at < end; at++) {
    noise = next(noise);
    view.setUint8(at, noise);
    sum = Math.imul(sum ^ (noise & 0xff), 0x01000193);
  }
  view.setInt32(end, sum);
}

/** Whether the record is number `sequence` and its bytes are what its checksum says. */
export function isNumbered(view: DataView, offset: number, length: number, sequence: number): boolean {
  const end = offset + length - CHECKSUM_BYTES;
  if (length < NUMBERED_LENGTH_MIN || view.getUint32(offset) !== sequence) return false;
  let sum = sequence;
  let at = offset + SEQUENCE_BYTES;
  for (; at + 4 <= end; at += 4) sum = Math.imul(sum ^ view.getInt32(at), 0x01000193);
  for (; at < end; at++) sum = Math.imul(sum ^ view.getUint8(at), 0x01000193);
  return view.getInt32(end) === sum >> 0;
}

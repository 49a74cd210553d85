/** CDBs of the commands that name a range of blocks, in the forms that have room for it. */
import type { Random } from "../random.js";

interface Form {
  readonly bytes: 6 | 10 | 12 | 16;
  readonly opcode: number;
}

const LBA_MAX_6 = 0x1f_ffff;
const BLOCKS_MAX_6 = 256;
const BLOCKS_MAX_10 = 0xffff;

export const READ_FORMS: readonly Form[] = [
  { bytes: 6, opcode: 0x08 },
  { bytes: 10, opcode: 0x28 },
  { bytes: 12, opcode: 0xa8 },
  { bytes: 16, opcode: 0x88 },
];

export const WRITE_FORMS: readonly Form[] = [
  { bytes: 6, opcode: 0x0a },
  { bytes: 10, opcode: 0x2a },
  { bytes: 12, opcode: 0xaa },
  { bytes: 16, opcode: 0x8a },
];

export const VERIFY_FORMS: readonly Form[] = [
  { bytes: 10, opcode: 0x2f },
  { bytes: 12, opcode: 0xaf },
  { bytes: 16, opcode: 0x8f },
];

export const WRITE_AND_VERIFY_FORMS: readonly Form[] = [
  { bytes: 10, opcode: 0x2e },
  { bytes: 12, opcode: 0xae },
  { bytes: 16, opcode: 0x8e },
];

export const OR_WRITE_FORMS: readonly Form[] = [{ bytes: 16, opcode: 0x8b }];

export const WRITE_SAME_FORMS: readonly Form[] = [
  { bytes: 10, opcode: 0x41 },
  { bytes: 16, opcode: 0x93 },
];

/** `flags`: byte 1, for which the 6-byte form has no room. */
export function blockCdb(random: Random, forms: readonly Form[], lba: number, blocks: number, flags = 0): Buffer {
  return encode(random.pick(forms.filter((form) => fits(form, lba, blocks, flags))), lba, blocks, flags);
}

/** The length is a byte. */
export function compareAndWriteCdb(lba: number, blocks: number, flags: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = 0x89;
  cdb[1] = flags;
  cdb.writeBigUInt64BE(BigInt(lba), 2);
  cdb[13] = blocks;
  return cdb;
}

/** Without a boundary, the length in 16 bits. */
export function writeAtomicCdb(lba: number, blocks: number, flags: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = 0x9c;
  cdb[1] = flags;
  cdb.writeBigUInt64BE(BigInt(lba), 2);
  cdb.writeUInt16BE(blocks, 12);
  return cdb;
}

function fits({ bytes }: Form, lba: number, blocks: number, flags: number): boolean {
  if (bytes === 6) return blocks > 0 && blocks <= BLOCKS_MAX_6 && lba + blocks <= LBA_MAX_6 && flags === 0;
  return bytes > 10 || blocks <= BLOCKS_MAX_10;
}

function encode({ bytes, opcode }: Form, lba: number, blocks: number, flags: number): Buffer {
  const cdb = Buffer.alloc(bytes);
  cdb[0] = opcode;
  if (bytes === 6) {
    cdb.writeUIntBE(lba, 1, 3);
    // 0 is 256.
    cdb[4] = blocks & 0xff;
    return cdb;
  }
  cdb[1] = flags;
  if (bytes === 16) {
    cdb.writeBigUInt64BE(BigInt(lba), 2);
    cdb.writeUInt32BE(blocks, 10);
    return cdb;
  }
  cdb.writeUInt32BE(lba, 2);
  if (bytes === 10) cdb.writeUInt16BE(blocks, 7);
  else cdb.writeUInt32BE(blocks, 6);
  return cdb;
}

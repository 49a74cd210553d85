/** Command descriptor blocks for tests (SPC, SBC); like pdu.ts apart from the code under test. */

export function testUnitReady(): Buffer {
  return Buffer.alloc(6);
}

export function requestSense(allocationLength = 252, descriptor = false): Buffer {
  return Buffer.from([0x03, descriptor ? 1 : 0, 0, 0, allocationLength, 0]);
}

/** Without `page`: standard data; with it: that vital product data page. */
export function inquiry(page?: number, allocationLength = 255): Buffer {
  return Buffer.from([0x12, page === undefined ? 0 : 1, page ?? 0, allocationLength >> 8, allocationLength & 0xff, 0]);
}

export function modeSense6(page: number, subpage = 0, allocationLength = 255): Buffer {
  return Buffer.from([0x1a, 0, page, subpage, allocationLength, 0]);
}

export function modeSense10(page: number, subpage = 0, allocationLength = 1024): Buffer {
  return Buffer.from([0x5a, 0, page, subpage, 0, 0, 0, allocationLength >> 8, allocationLength & 0xff, 0]);
}

export function reportLuns(allocationLength = 4096, select = 0): Buffer {
  const cdb = Buffer.alloc(12);
  cdb[0] = 0xa0;
  cdb[2] = select;
  cdb.writeUInt32BE(allocationLength, 6);
  return cdb;
}

export function readCapacity10(): Buffer {
  return Buffer.from([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

export function readCapacity16(allocationLength = 32): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = 0x9e;
  cdb[1] = 0x10;
  cdb.writeUInt32BE(allocationLength, 10);
  return cdb;
}

export function getLbaStatus(lba: number, allocationLength: number): Buffer {
  return range16(0x9e, 0x12, lba, allocationLength);
}

function range10(opcode: number, flags: number, lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(10);
  cdb[0] = opcode;
  cdb[1] = flags;
  cdb.writeUInt32BE(lba, 2);
  cdb.writeUInt16BE(blocks, 7);
  return cdb;
}

function range16(opcode: number, flags: number, lba: number, blocks: number): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = opcode;
  cdb[1] = flags;
  cdb.writeBigUInt64BE(BigInt(lba), 2);
  cdb.writeUInt32BE(blocks, 10);
  return cdb;
}

/** Flag bits of byte 1 of READ and WRITE. */
export const CDB_FUA = 0x08;

export const read10 = (lba: number, blocks: number, flags = 0): Buffer => range10(0x28, flags, lba, blocks);
export const read16 = (lba: number, blocks: number, flags = 0): Buffer => range16(0x88, flags, lba, blocks);
export const write10 = (lba: number, blocks: number, flags = 0): Buffer => range10(0x2a, flags, lba, blocks);
export const write16 = (lba: number, blocks: number, flags = 0): Buffer => range16(0x8a, flags, lba, blocks);
export const synchronizeCache10 = (lba = 0, blocks = 0): Buffer => range10(0x35, 0, lba, blocks);
export const synchronizeCache16 = (lba = 0, blocks = 0): Buffer => range16(0x91, 0, lba, blocks);
export const verify10 = (lba: number, blocks: number, flags = 0): Buffer => range10(0x2f, flags, lba, blocks);
/** Flag 0x08: UNMAP; 0x01: NDOB. */
export const writeSame16 = (lba: number, blocks: number, flags = 0): Buffer => range16(0x93, flags, lba, blocks);

export function unmap(parameterListLength: number): Buffer {
  const cdb = Buffer.alloc(10);
  cdb[0] = 0x42;
  cdb.writeUInt16BE(parameterListLength, 7);
  return cdb;
}

/** UNMAP's parameter list. */
export function unmapList(ranges: readonly { readonly lba: number; readonly blocks: number }[]): Buffer {
  const list = Buffer.alloc(8 + 16 * ranges.length);
  list.writeUInt16BE(list.length - 2, 0);
  list.writeUInt16BE(16 * ranges.length, 2);
  ranges.forEach((range, index) => {
    list.writeBigUInt64BE(BigInt(range.lba), 8 + 16 * index);
    list.writeUInt32BE(range.blocks, 16 + 16 * index);
  });
  return list;
}

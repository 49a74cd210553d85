/** CDBs and data for them, as fast-check makes them up: mostly such as come past the first checks. */
import fc from "./fast-check.js";

/** What there is to know of a command: as REPORT SUPPORTED OPERATION CODES tells it. */
export interface CommandUsage {
  readonly opcode: number;
  /** -1: it has none. */
  readonly serviceAction: number;
  /** Byte 0 the opcode, then the bits that may be set. */
  readonly usage: readonly number[];
}

const SERVICE_ACTION_BYTE = 1;
const SERVICE_ACTION_MASK = 0x1f;

/** Bits of a byte of the CDB that are not refused. */
export function legalBits({ usage, serviceAction }: CommandUsage, byte: number): number {
  return usage[byte]! | (serviceAction >= 0 && byte === SERVICE_ACTION_BYTE ? SERVICE_ACTION_MASK : 0);
}

/** Bytes of a field: any, or such as stand for few blocks, for the end of the unit, for nothing and for everything. */
function fields(length: number): fc.Arbitrary<number[]> {
  const byte = fc.integer({ min: 0, max: 255 });
  const few = fc.array(fc.tuple(fc.nat(length - 1), fc.constantFrom(0, 1, 2, 3, 8, 0x18, 0x57, 0x58, 0xff)), {
    maxLength: 4,
  });
  return fc.oneof(
    fc.array(byte, { minLength: length, maxLength: length }),
    fc.constantFrom(0x00, 0xff).map((value) => new Array<number>(length).fill(value)),
    // Zeroes, but for a few bytes: addresses and lengths that are within a small unit.
    few.map((some) => {
      const bytes = new Array<number>(length).fill(0);
      for (const [at, value] of some) bytes[at] = value;
      return bytes;
    }),
  );
}

/** CDBs of a command: most of them have none but legal bits, else hardly any would come further than the table. */
export function cdbs(command: CommandUsage): fc.Arbitrary<number[]> {
  const { opcode, serviceAction, usage } = command;
  const isMasked = fc.nat(9).map((tenth) => tenth > 0);
  return fc.tuple(fields(usage.length), isMasked).map(([bytes, masked]) => {
    const cdb = bytes.map((byte, i) => (masked ? byte & legalBits(command, i) : byte));
    cdb[0] = opcode;
    if (serviceAction >= 0) cdb[1] = (cdb[1]! & ~SERVICE_ACTION_MASK) | serviceAction;
    return cdb;
  });
}

/** Data of any kind for a unit of so many blocks: blocks, parameter lists, lists that are well-formed but for what they ask for. */
export function dataOut(blocks: number): fc.Arbitrary<Uint8Array> {
  const range = fc.tuple(fc.nat(blocks + 1), fc.nat(20));
  return fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc.uint8Array({ minLength: 512, maxLength: 2048 }),
    fc.constantFrom(0, 1, 7, 8, 24, 512, 1024, 4096, 65_535).map((length) => new Uint8Array(length)),
    fc.array(range, { maxLength: 4 }).map(rangeList),
  );
}

/** As UNMAP has it. */
function rangeList(ranges: readonly (readonly [lba: number, blocks: number])[]): Uint8Array {
  const list = Buffer.alloc(8 + 16 * ranges.length);
  list.writeUInt16BE(list.length - 2, 0);
  list.writeUInt16BE(16 * ranges.length, 2);
  for (const [i, [lba, blocks]] of ranges.entries()) {
    list.writeUInt32BE(lba, 8 + 16 * i + 4);
    list.writeUInt32BE(blocks, 8 + 16 * i + 8);
  }
  return Uint8Array.from(list);
}

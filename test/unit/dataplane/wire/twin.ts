/**
 * The naive twin of every PDU view: a diagram of RFC 7143 chapter 11 as a table, and an encoder that puts each value into a
 * Buffer bit by bit. It shares no line with the codec and numbers bits as the RFC does: bit 0 is the most significant.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { BHS_LENGTH, type Pdu } from "../../../../dataplane/wire/bhs.js";
import { describeInvalid, VALID } from "../../../../dataplane/wire/invalid.js";
import fc from "../../../support/fast-check.js";

/** First byte, first bit in it, number of bits. */
export type Field = readonly [byte: number, bit: number, width: number];
export type Diagram = Readonly<Record<string, Field>>;
export type Values = Readonly<Record<string, number | boolean>>;

export const flag = (byte: number, bit: number): Field => [byte, bit, 1];
export const bits = (byte: number, bit: number, width: number): Field => [byte, bit, width];
export const u8 = (byte: number): Field => [byte, 0, 8];
export const u16 = (byte: number): Field => [byte, 0, 16];
export const u24 = (byte: number): Field => [byte, 0, 24];
export const u32 = (byte: number): Field => [byte, 0, 32];
export const u48 = (byte: number): Field => [byte, 0, 48];

/** Rows that all the diagrams of chapter 11 begin with. */
export const LENGTHS: Diagram = { totalAHSLength: u8(4), dataSegmentLength: u24(5) };
export const LUN: Diagram = { lunHigh: u32(8), lunLow: u32(12) };
export const ITT: Diagram = { initiatorTaskTag: u32(16) };
export const NUMBERS: Diagram = { statSN: u32(24), expCmdSN: u32(28), maxCmdSN: u32(32) };

export function put(bytes: Buffer, [byte, bit, width]: Field, value: number | boolean): void {
  const digits = BigInt(value).toString(2).padStart(width, "0");
  assert.equal(digits.length, width, `${value} does not fit ${width} bits`);
  for (let index = 0; index < width; index++) {
    const position = byte * 8 + bit + index;
    const mask = 0x80 >> (position % 8);
    const at = Math.floor(position / 8);
    bytes[at] = digits[index] === "1" ? bytes[at]! | mask : bytes[at]! & ~mask;
  }
}

export function get(bytes: Buffer, [byte, bit, width]: Field): number | boolean {
  let digits = "";
  for (let index = 0; index < width; index++) {
    const position = byte * 8 + bit + index;
    digits += (bytes[Math.floor(position / 8)]! & (0x80 >> (position % 8))) === 0 ? "0" : "1";
  }
  return width === 1 ? digits === "1" : Number.parseInt(digits, 2);
}

export interface TwinOptions<P extends Pdu> {
  readonly name: string;
  readonly create: (view: DataView, offset?: number) => P;
  readonly opcode: number;
  /** Fields of the diagram by the names of the view's properties. */
  readonly diagram: Diagram;
  /** What `clear()` leaves in `diagram`; the rest is 0. */
  readonly cleared: Values;
  /** A legal PDU: the values beside `cleared`. */
  readonly valid: Values;
  /** What makes of `valid` a format error, and which. */
  readonly invalid: readonly (readonly [values: Values, reason: number])[];
  /** What leaves `valid` valid, though it looks odd. */
  readonly stillValid?: readonly Values[];
}

const OPCODE_FIELD: Field = [0, 2, 6];

function encode(options: TwinOptions<Pdu>, values: Values): Buffer {
  const bytes = Buffer.alloc(BHS_LENGTH);
  put(bytes, OPCODE_FIELD, options.opcode);
  for (const [name, value] of Object.entries({ ...options.cleared, ...values })) {
    put(bytes, options.diagram[name]!, value);
  }
  return bytes;
}

/** The boundaries, one beside each, and anything. */
function arbitraryNumber(width: number): fc.Arbitrary<number> {
  const max = 2 ** width - 1;
  return fc.oneof(
    fc.constantFrom(0, 1, max - 1, max),
    fc.maxSafeNat().map((value) => value % (max + 1)),
  );
}

function arbitraryValues(diagram: Diagram): fc.Arbitrary<Values> {
  return fc.record(
    Object.fromEntries(
      Object.entries(diagram).map(([name, [, , width]]) => [name, width === 1 ? fc.boolean() : arbitraryNumber(width)]),
    ),
  );
}

const arbitraryHeader = fc
  .uint8Array({ minLength: BHS_LENGTH, maxLength: BHS_LENGTH })
  .map((bytes) => Buffer.from(bytes));

/** Something on both sides of the header, to see whether it is left alone. */
const MARGIN = 24;

function around(header: Buffer): { bytes: Buffer; view: DataView } {
  const bytes = Buffer.alloc(BHS_LENGTH + 2 * MARGIN, 0xa5);
  header.copy(bytes, MARGIN);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
}

function assertHeader(bytes: Buffer, header: Buffer): void {
  assert.equal(bytes.subarray(MARGIN, MARGIN + BHS_LENGTH).toString("hex"), header.toString("hex"));
  const margin = Buffer.alloc(MARGIN, 0xa5);
  assert.deepEqual(bytes.subarray(0, MARGIN), margin, "bytes before the header have changed");
  assert.deepEqual(bytes.subarray(MARGIN + BHS_LENGTH), margin, "bytes behind the header have changed");
}

function field(pdu: Pdu, name: string): number | boolean {
  assert.ok(name in pdu, `no property ${name}`);
  return (pdu as unknown as Record<string, number | boolean>)[name]!;
}

function setField(pdu: Pdu, name: string, value: number | boolean): void {
  (pdu as unknown as Record<string, number | boolean>)[name] = value;
}

/** Registers the tests that every PDU must pass. */
export function testPdu<P extends Pdu>(options: TwinOptions<P>): void {
  const { name, create, diagram, opcode } = options;
  const names = Object.keys(diagram);

  test(`${name}: clear() leaves nothing of the buffer's former content`, () => {
    fc.assert(
      fc.property(arbitraryHeader, (former) => {
        const { bytes, view } = around(former);
        const pdu = create(view, MARGIN);
        assert.equal(pdu.clear(), pdu);
        assertHeader(bytes, encode(options, {}));
      }),
    );
  });

  test(`${name}: what the view writes, in any order, is what the twin writes`, () => {
    fc.assert(
      fc.property(arbitraryValues(diagram), fc.shuffledSubarray(names), arbitraryHeader, (values, order, former) => {
        const { bytes, view } = around(former);
        const pdu = create(view).at(MARGIN).clear();
        for (const name of order) setField(pdu, name, values[name]!);
        assertHeader(bytes, encode(options, Object.fromEntries(order.map((name) => [name, values[name]!]))));
      }),
    );
  });

  test(`${name}: what the twin wrote, the view reads`, () => {
    fc.assert(
      fc.property(arbitraryValues(diagram), (values) => {
        const { bytes, view } = around(encode(options, values));
        const pdu = create(new DataView(new ArrayBuffer(BHS_LENGTH))).attach(view, MARGIN);
        assert.equal(pdu.opcode, opcode);
        for (const name of names) assert.equal(field(pdu, name), values[name], name);
        assertHeader(bytes, encode(options, values));
      }),
    );
  });

  test(`${name}: on any bytes, each getter reads and each setter writes its own bits only`, () => {
    fc.assert(
      fc.property(arbitraryHeader, arbitraryValues(diagram), (header, values) => {
        for (const name of names) {
          const { bytes, view } = around(header);
          const pdu = create(view, MARGIN);
          assert.equal(field(pdu, name), get(header, diagram[name]!), name);
          setField(pdu, name, values[name]!);
          const expected = Buffer.from(header);
          put(expected, diagram[name]!, values[name]!);
          assertHeader(bytes, expected);
        }
      }),
    );
  });

  test(`${name}: invalid() and describe() take any bytes, and change none`, () => {
    fc.assert(
      fc.property(arbitraryHeader, (header) => {
        const { bytes, view } = around(header);
        const pdu = create(view, MARGIN);
        assert.doesNotMatch(describeInvalid(pdu.invalid()), /unknown/);
        assert.match(pdu.describe(), /^[\x20-\x7e]{10,}$/);
        assertHeader(bytes, header);
      }),
    );
  });

  const judge = (values: Values): number => {
    const { view } = around(encode(options, { ...options.valid, ...values }));
    return create(view, MARGIN).invalid();
  };

  test(`${name}: invalid() names each format error`, () => {
    assert.equal(judge({}), VALID);
    for (const [values, reason] of options.invalid) {
      assert.equal(describeInvalid(judge(values)), describeInvalid(reason), JSON.stringify(values));
    }
    for (const values of options.stillValid ?? []) {
      assert.equal(describeInvalid(judge(values)), describeInvalid(VALID), JSON.stringify(values));
    }
  });

  test(`${name}: invalid() ignores every reserved bit`, () => {
    const defined = Buffer.alloc(BHS_LENGTH);
    put(defined, OPCODE_FIELD, 0x3f);
    for (const [byte, bit, width] of Object.values(diagram)) {
      for (let index = 0; index < width; index++)
        put(defined, [byte + Math.floor((bit + index) / 8), (bit + index) % 8, 1], true);
    }
    fc.assert(
      fc.property(arbitraryHeader, (noise) => {
        const header = encode(options, options.valid);
        for (let at = 0; at < BHS_LENGTH; at++) header[at] = header[at]! | (noise[at]! & ~defined[at]!);
        const { view } = around(header);
        assert.equal(describeInvalid(create(view, MARGIN).invalid()), describeInvalid(VALID));
      }),
    );
  });
}

/** A buffer of the bytes in `text`: hexadecimal digits, white space and "#" comments to the end of the line. */
export function golden(text: string): DataView {
  const bytes = Buffer.from(text.replace(/#.*$/gm, "").replace(/\s/g, ""), "hex");
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

export function hexOf(view: DataView): string {
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString("hex");
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { describeInvalid, INVALID_SENSE_LENGTH, VALID } from "../../../../dataplane/wire/invalid.js";
import { SENSE_LENGTH_LENGTH, SenseDataSegment } from "../../../../dataplane/wire/sense-data-segment.js";

/** [DataSegmentLength, SenseLength field, expected senseLength, responseDataLength, reason] (section 11.4.7). */
const CASES: readonly (readonly [number, number, number, number, number])[] = [
  [0, 0xffff, 0, 0, VALID],
  [1, 0xffff, 0, -1, INVALID_SENSE_LENGTH],
  [2, 0, 0, 0, VALID],
  [2, 1, 1, -1, INVALID_SENSE_LENGTH],
  [20, 18, 18, 0, VALID],
  [21, 18, 18, 1, VALID],
  [20, 0, 0, 18, VALID],
  [20, 19, 19, -1, INVALID_SENSE_LENGTH],
  [20, 0xffff, 0xffff, 18 - 0xffff, INVALID_SENSE_LENGTH],
];

test("sense data segment: both parts and their bounds", () => {
  const view = new DataView(new ArrayBuffer(64));
  const segment = new SenseDataSegment(new DataView(new ArrayBuffer(0)));
  for (const [byteLength, field, senseLength, responseDataLength, reason] of CASES) {
    view.setUint16(8, field);
    segment.attach(view, 8, byteLength);
    assert.equal(segment.senseLength, senseLength);
    assert.equal(segment.senseOffset, 10);
    assert.equal(segment.responseDataOffset, 10 + senseLength);
    assert.equal(segment.responseDataLength, responseDataLength);
    assert.equal(
      describeInvalid(segment.invalid()),
      describeInvalid(reason),
      `${byteLength} bytes, SenseLength ${field}`,
    );
  }
});

test("sense data segment: a new view is at the beginning, and empty", () => {
  const segment = new SenseDataSegment(new DataView(new ArrayBuffer(SENSE_LENGTH_LENGTH)));
  assert.deepEqual([segment.senseOffset, segment.senseLength, segment.responseDataLength], [2, 0, 0]);
});

test("sense data segment: SenseLength is written in network byte order", () => {
  const view = new DataView(new ArrayBuffer(SENSE_LENGTH_LENGTH));
  new SenseDataSegment(view, 0, SENSE_LENGTH_LENGTH).senseLength = 0x0112;
  assert.deepEqual([view.getUint8(0), view.getUint8(1)], [0x01, 0x12]);
});

/** INQUIRY (SPC-5): the vital product data pages of a served unit agree with what the target does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inquiry } from "../../support/cdb.js";
import { hex, serve } from "./fixture.js";

const fixture = serve();

test("page 00h lists pages in ascending order, and each of them can be read by its code", async () => {
  const initiator = await fixture.login("pages");
  const list = await initiator.good({ cdb: inquiry(0x00), read: 255 });
  const codes = [...list.subarray(4)];
  for (const code of [0x00, 0x80, 0x83, 0x85, 0x86, 0x87, 0xb0, 0xb1, 0xb2]) assert.ok(codes.includes(code));
  assert.deepEqual(
    codes,
    [...codes].sort((a, b) => a - b),
  );
  for (const code of codes) {
    const page = await initiator.good({ cdb: inquiry(code, 4096), read: 4096 });
    assert.equal(page[1], code);
    assert.equal(page.readUInt16BE(2), page.length - 4);
    for (const length of [0, 1, 3]) {
      assert.equal((await initiator.good({ cdb: inquiry(code, length), read: 255 })).length, length);
    }
  }
});

test("page 85h has the URL at which the API answers", async () => {
  const initiator = await fixture.login("addresses");
  const page = await initiator.good({ cdb: inquiry(0x85), read: 255 });
  assert.equal(hex(page.subarray(4, 6)), "4300");
  const length = page.readUInt16BE(6);
  assert.equal(page.length, 8 + length);
  const url = page.subarray(8).toString("latin1").replace(/\0+$/, "");
  const response = await fetch(url);
  assert.equal(response.status, 200);
  assert.equal(typeof (await response.json()), "object");
});

test("standard data names SAM-5, iSCSI, SPC-5 and SBC-4", async () => {
  const initiator = await fixture.login("standard");
  const data = await initiator.good({ cdb: inquiry(undefined, 96), read: 96 });
  const versions = Array.from({ length: 8 }, (_, i) => data.readUInt16BE(58 + 2 * i));
  for (const version of [0x00a0, 0x0960, 0x05c0, 0x0600]) assert.ok(versions.includes(version));
});

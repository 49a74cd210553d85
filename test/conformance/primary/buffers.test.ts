/** READ BUFFER and WRITE BUFFER (SPC-5): what a nexus has written is what it reads, whatever others write. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertSense, hex, serve } from "./fixture.js";

const fixture = serve();
const ECHO = 0x0a;
const DOWNLOAD_MICROCODE = 0x05;

function writeBuffer(mode: number, length: number): Buffer {
  return Buffer.from([0x3b, mode, 0, 0, 0, 0, 0, length >> 8, length & 0xff, 0]);
}

function readBuffer(mode: number, length: number): Buffer {
  return Buffer.from([0x3c, mode, 0, 0, 0, 0, 0, length >> 8, length & 0xff, 0]);
}

test("each nexus has an echo buffer of its own", async () => {
  const [one, other] = [await fixture.login("one"), await fixture.login("other")];
  assertSense(await one.command({ cdb: readBuffer(ECHO, 4), read: 4 }), 5, 0x2c, 0);
  await one.good({ cdb: writeBuffer(ECHO, 4096), write: Buffer.alloc(4096, 1) });
  await other.good({ cdb: writeBuffer(ECHO, 3), write: Buffer.from([7, 8, 9]) });
  assert.equal(hex(await one.good({ cdb: readBuffer(ECHO, 4096), read: 4096 })), "01".repeat(4096));
  assert.equal(hex(await other.good({ cdb: readBuffer(ECHO, 4096), read: 4096 })), "070809");
});

test("fewer bytes than the CDB announces change nothing", async () => {
  const initiator = await fixture.login("short");
  await initiator.good({ cdb: writeBuffer(ECHO, 4), write: Buffer.from("good") });
  assertSense(await initiator.command({ cdb: writeBuffer(ECHO, 8), write: Buffer.from("bad!") }), 5, 0x1a, 0);
  const echo = await initiator.good({ cdb: readBuffer(ECHO, 64), read: 64 });
  assert.equal(echo.toString(), "good");
});

test("microcode is not taken", async () => {
  const initiator = await fixture.login("microcode");
  const { sense } = await initiator.command({ cdb: writeBuffer(DOWNLOAD_MICROCODE, 512), write: Buffer.alloc(512) });
  assert.equal(hex(sense.subarray(2, 3)), "05");
  assert.equal(hex(sense.subarray(12)), "240000cc0001");
});

test("the self-test passes, and page 00h is the only diagnostic page", async () => {
  const initiator = await fixture.login("diagnostic");
  await initiator.good({ cdb: Buffer.from([0x1d, 0x04, 0, 0, 0, 0]) });
  await initiator.good({ cdb: Buffer.from([0x1d, 0x10, 0, 0, 4, 0]), write: Buffer.alloc(4) });
  const page = await initiator.good({ cdb: Buffer.from([0x1c, 0x01, 0, 0, 255, 0]), read: 255 });
  assert.equal(hex(page), "0000000100");
});

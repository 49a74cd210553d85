/** A shard dies while its PDUs are captured: the capture goes on with the thread that takes its place. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import { LocalServer } from "../../support/local-server.js";
import { readPcapng } from "../../support/pcapng-reader.js";
import { Undo } from "../../support/undo.js";

const OPCODE_SCSI_COMMAND = 0x01;
const OPCODE_MASK = 0x3f;

test("what is said before a shard's death, and after it, is in one capture", async (context) => {
  const undo = new Undo(context);
  const local = await LocalServer.start(undo, { cache: "writeback", workers: 1, sizeBytes: 2 ** 20 });
  const { captures, shards } = local.server;
  const capture = captures.begin({
    isWhole: false,
    sessionId: null,
    unitIndex: null,
    description: "all sessions",
    seconds: null,
    bytesMax: null,
    isOver: () => false,
  });
  assert(capture !== undefined);
  const parts: Buffer[] = [];
  const reading = (async () => {
    for await (const part of capture.blocks()) parts.push(part);
  })();
  for (let life = 0; life < 2; life++) {
    const initiator = await local.logIn(undo, "iqn.2026-11.io.ringlun:initiator");
    await initiator.good({ cdb: testUnitReady() });
    if (life === 0) await shards.kill(0);
  }
  assert.equal(await captures.end(), true);
  await reading;
  const { packets, statistics } = readPcapng(Buffer.concat(parts));
  const commands = packets.filter(({ payload }) => (payload[0]! & OPCODE_MASK) === OPCODE_SCSI_COMMAND);
  assert.equal(commands.length, 2);
  assert.equal(packets.filter(({ comment }) => comment.startsWith("session ")).length, 2);
  assert.deepEqual(
    statistics.map(({ dropped }) => dropped),
    [0, 0],
  );
});

import assert from "node:assert/strict";
import { Socket } from "node:net";
import { test } from "node:test";
import { PduStream } from "../../../control/pdu-stream.js";
import { buildHeader, OPCODE_TEXT_REQUEST } from "../../support/pdu.js";

test("of a connection that is gone nothing is read, although much has come", async () => {
  const socket = new Socket();
  const stream = new PduStream(socket);
  const pdu = buildHeader({ opcode: OPCODE_TEXT_REQUEST });
  for (let i = 0; i < 3; i++) socket.push(pdu);
  assert.equal((await stream.read()).kind, "pdu");
  socket.destroy();
  assert.equal((await stream.read()).kind, "end");
});

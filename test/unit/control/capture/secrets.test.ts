import assert from "node:assert/strict";
import { test } from "node:test";
import { maskSecrets } from "../../../../control/capture/secrets.js";

const pdu = (opcode: number, text: string): Buffer => Buffer.concat([Buffer.alloc(48, opcode), Buffer.from(text)]);

test("answers to CHAP challenges become asterisks, as many as they had characters", () => {
  const login = pdu(0x43, "CHAP_N=alice\0CHAP_R=0xabcd\0CHAP_I=1\0CHAP_C=0x11\0");
  maskSecrets(login);
  assert.equal(login.toString("latin1", 48), "CHAP_N=alice\0CHAP_R=******\0CHAP_I=1\0CHAP_C=0x11\0");
});

test("one that is cut short, and a second one", () => {
  const login = pdu(0x23, "CHAP_R=\0CHAP_R=0b123");
  maskSecrets(login);
  assert.equal(login.toString("latin1", 48), "CHAP_R=\0CHAP_R=*****");
});

test("data that looks so is nobody's secret", () => {
  const data = pdu(0x25, "CHAP_R=0xabcd\0");
  maskSecrets(data);
  assert.equal(data.toString("latin1", 48), "CHAP_R=0xabcd\0");
});

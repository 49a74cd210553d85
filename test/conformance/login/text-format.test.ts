import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeKeys } from "../../support/pdu.js";
import { STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import { goesOn, NAMES, refused, STATUS_INITIATOR_ERROR, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget();
const names = encodeKeys(NAMES);
const after = (text: string | Uint8Array) => Buffer.concat([names, Buffer.from(text)]);

async function isRefused(text: string | Uint8Array): Promise<void> {
  const options = { ...TO_FULL_FEATURE, data: after(text) };
  await refused(await target.connect(), options, STATUS_INITIATOR_ERROR, JSON.stringify(text));
}

test("RFC 7143 6.1: every pair is followed by one NUL", async () => {
  await isRefused("MaxConnections=1");
  await isRefused("MaxConnections=1\0\0");
  await isRefused("\0MaxConnections=1\0");
  await isRefused("\0");
});

test("RFC 7143 6.1: a pair has a key, and a =", async () => {
  await isRefused("=1\0");
  await isRefused("MaxConnections\0");
  await isRefused("MaxConnections\0=1\0");
});

test("RFC 7143 6.1: keys are of letters, digits and . - + @ _", async () => {
  for (const key of ["Max Connections", "Max\nConnections", "Mäx", "(Key)", "Key/1"]) await isRefused(`${key}=1\0`);
});

test("RFC 7143 6.1: keys of 63 characters are understood as keys, longer ones are not", async () => {
  const key = `X-${"k".repeat(61)}`;
  const response = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, data: after(`${key}=1\0`) });
  assert.equal(response.keys.get(key), "NotUnderstood");
  await isRefused(`${key}k=1\0`);
});

test("RFC 7143 6.1: values may be empty, hold =, be long or in UTF-8; but not anything else", async () => {
  for (const value of ["", "=", "a=b=", "x".repeat(255), "\u65e5\u672c", "x".repeat(5000)]) {
    const response = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, data: after(`X-key=${value}\0`) });
    assert.equal(response.keys.get("X-key"), "NotUnderstood", value);
  }
  await isRefused(Buffer.from("X-key=\xff\xfe\0", "latin1"));
});

test("RFC 7143 6.1: aliases are as long as they like: they are no simple-values, which have 255 bytes at most", async () => {
  for (const length of [255, 256, 8000]) {
    const options = { ...TO_FULL_FEATURE, data: after(`InitiatorAlias=${"x".repeat(length)}\0`) };
    await goesOn(await target.connect(), options);
  }
});

test("RFC 7143 6.1: a value of more than 8192 bytes, in however many PDUs: 0200h", async () => {
  const initiator = await target.connect();
  const text = after(`X-key=${"x".repeat(8193)}\0`);
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, more: true, data: text.subarray(0, 8000) });
  await refused(initiator, { ...TO_FULL_FEATURE, data: text.subarray(8000) }, STATUS_INITIATOR_ERROR);
});

test("RFC 7143 6.1: keys and values are case sensitive", async () => {
  const keys = { ...NAMES, maxconnections: "1", InitialR2T: "no", HeaderDigest: "crc32c" };
  const response = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys });
  for (const [key, answer] of [
    ["maxconnections", "NotUnderstood"],
    ["InitialR2T", "Reject"],
    ["HeaderDigest", "Reject"],
  ] as const) {
    assert.equal(response.keys.get(key), answer, key);
  }
});

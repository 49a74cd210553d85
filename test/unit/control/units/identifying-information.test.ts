import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { StateError } from "../../../../control/config/state-directory.js";
import { IdentifyingInformation } from "../../../../control/units/identifying-information.js";
import { SlowFixture, stateDirectory, UUID } from "./slow-fixture.js";

const DEVICE = "00";
const TEXT = "04";
const SUPPORTED = "fe";

function report(type: string, length = "0000ffff"): string {
  return `a305 00000000 ${length} ${type} 00`;
}

function set(type: string, length: number): string {
  return `a406 00000000 ${length.toString(16).padStart(8, "0")} ${type} 00`;
}

async function serve(context: TestContext, directory = stateDirectory(context)) {
  const fixture = new SlowFixture();
  const information = new IdentifyingInformation(await directory);
  await information.load(UUID);
  information.serve(fixture.commands, fixture.changes);
  return fixture;
}

test("each type is empty at first, and keeps what is set, by itself", async (context) => {
  const fixture = await serve(context);
  const session = fixture.login("1");
  for (const type of [DEVICE, TEXT]) assert.equal(await fixture.data(session, report(type)), "00000000");
  assert.deepEqual(await fixture.run(session, set(DEVICE, 3), "01ff00"), { kind: "good" });
  assert.deepEqual(await fixture.run(session, set(TEXT, 6), "c3a4626300".replace("63", "6364")), { kind: "good" });
  assert.equal(await fixture.data(session, report(DEVICE)), "0000000301ff00");
  assert.equal(await fixture.data(session, report(TEXT)), "00000006c3a462636400");
  assert.deepEqual(await fixture.run(session, set(DEVICE, 0)), { kind: "good" });
  assert.equal(await fixture.data(session, report(DEVICE)), "00000000");
  assert.equal(await fixture.data(session, report(TEXT)), "00000006c3a462636400");
});

test("every allocation length is legal", async (context) => {
  const fixture = await serve(context);
  const session = fixture.login("1");
  await fixture.run(session, set(DEVICE, 2), "abcd");
  for (const [length, data] of [
    ["00000000", ""],
    ["00000001", "00"],
    ["00000004", "00000002"],
    ["00000005", "00000002ab"],
    ["ffffffff", "00000002abcd"],
  ] as const) {
    assert.equal(await fixture.data(session, report(DEVICE, length)), data);
  }
});

test("type 7Fh lists the types with the lengths that they may have", async (context) => {
  const fixture = await serve(context);
  assert.equal(await fixture.data(fixture.login("1"), report(SUPPORTED)), "00000008" + "00000200" + "04000100");
});

test("the longest of each type is taken, and one byte more is refused", async (context) => {
  const fixture = await serve(context);
  const session = fixture.login("1");
  assert.deepEqual(await fixture.run(session, set(DEVICE, 512), "5a".repeat(512)), { kind: "good" });
  assert.equal(await fixture.data(session, report(DEVICE)), `00000200${"5a".repeat(512)}`);
  assert.deepEqual(await fixture.run(session, set(TEXT, 256), `${"61".repeat(255)}00`), { kind: "good" });
  assert.equal(await fixture.sense(session, set(DEVICE, 513), "00".repeat(513)), "5/24/0 cdb 6");
  assert.equal(await fixture.sense(session, set(TEXT, 257), "00".repeat(257)), "5/24/0 cdb 6");
  assert.equal(await fixture.sense(session, set(DEVICE, 8), "00".repeat(7)), "5/1a/0");
  assert.equal(await fixture.data(session, report(DEVICE)), `00000200${"5a".repeat(512)}`);
});

test("other types are refused; nor can the list of types be set", async (context) => {
  const fixture = await serve(context);
  const session = fixture.login("1");
  for (const type of ["02", "06", "08", "80"]) {
    assert.equal(await fixture.sense(session, report(type)), "5/24/0 cdb 10.7");
    assert.equal(await fixture.sense(session, set(type, 1), "00"), "5/24/0 cdb 10.7");
  }
  assert.equal(await fixture.sense(session, set(SUPPORTED, 1), "00"), "5/24/0 cdb 10.7");
});

test("text ends with its only NUL, and is UTF-8", async (context) => {
  const fixture = await serve(context);
  const session = fixture.login("1");
  for (const [text, byte] of [
    ["6162", 1],
    ["61006200", 1],
    ["610000", 1],
    ["c32800", 0],
    ["ff00", 0],
  ] as const) {
    assert.equal(await fixture.sense(session, set(TEXT, text.length / 2), text), `5/26/0 list ${byte}`);
  }
  assert.equal(await fixture.data(session, report(TEXT)), "00000000");
  assert.deepEqual(await fixture.run(session, set(TEXT, 1), "00"), { kind: "good" });
});

test("a change is told to every other nexus, what is no change to nobody", async (context) => {
  const fixture = await serve(context);
  const session = fixture.login("1");
  for (let i = 0; i < 2; i++) await fixture.run(session, set(DEVICE, 2), "abcd");
  assert.deepEqual(fixture.made, [{ attentions: [{ asc: 0x3f, ascq: 0x05, exceptSessions: [session.sessionId] }] }]);
});

test("what was set is there in the next life, and a damaged label is not taken for none", async (context) => {
  const directory = await stateDirectory(context);
  const fixture = await serve(context, Promise.resolve(directory));
  await fixture.run(fixture.login("1"), set(DEVICE, 2), "abcd");
  const again = await serve(context, Promise.resolve(directory));
  assert.equal(await again.data(again.login("1"), report(DEVICE)), "00000002abcd");
  const path = join(directory.path, `identifying-information-${UUID}.json`);
  writeFileSync(path, readFileSync(path, "utf8").replace("abcd", "abce"));
  await assert.rejects(new IdentifyingInformation(directory).load(UUID), StateError);
});

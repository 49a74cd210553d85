/** Stores that do not answer: every change ends in its time, says how far it came, and keeps no other from being made. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { ask, socketOf } from "../../support/administration.js";
import { testUnitReady, write16 } from "../../support/cdb.js";
import { MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";
import { Undo } from "../../support/undo.js";

const BLOCK = 512;
/** Nobody else notices. */
const PROMPTLY_MS = 3_000;
const IN_TIME_MS = 62_000;

test("a file system that hangs", { skip: skipWithoutLoop("ext4") }, async (context) => {
  const undo = new Undo(context);
  const fileSystem = new MountedFileSystem("ext4");
  undo.add(() => fileSystem.release());
  const target = await RunningTarget.start({
    config: ({ port }: Places) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: ${TARGET_NAME}, portalGroups: [1], pingInterval: 0, luns: { 0: sound, 1: hangs } }]
units:
  sound: { file: ./sound.img, size: 1MiB }
  hangs: { file: ${fileSystem.path("hangs.img")}, size: 1MiB, cache: writeback }
api: { fileRoots: [., ${fileSystem.directory}] }
workers: 1
`,
  });
  undo.add(() => target.stop());
  let isFrozen = false;
  const thaw = () => {
    if (isFrozen) fileSystem.thaw();
    isFrozen = false;
  };
  undo.add(thaw);
  const send = async (method: string, path: string, body?: object) => {
    const begun = performance.now();
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const sent = { method, path: `/api/v1/${path}`, headers, ...(body && { body: JSON.stringify(body) }) };
    const { status, document } = await ask(sent, socketOf(target.configPath));
    const took = performance.now() - begun;
    assert.ok(took < IN_TIME_MS, `${method} ${path}: ${took} ms`);
    return { status, message: String(document.message), took };
  };
  const promptly = async (status: number, ...asked: Parameters<typeof send>) => {
    const answer = await send(...asked);
    assert.equal(answer.status, status, answer.message);
    assert.ok(answer.took < PROMPTLY_MS, `${asked.join(" ")}: ${answer.took} ms`);
  };
  const initiator = await RawInitiator.connect(target.port);
  undo.add(() => initiator.destroy());
  await initiator.login({ targetName: TARGET_NAME });
  for (const lun of [0, 1]) await initiator.command({ lun, cdb: testUnitReady() });

  fileSystem.freeze();
  isFrozen = true;
  // Nothing can be made there, and whoever asks for other things is answered meanwhile.
  const created = send("POST", "units", { name: "new", file: fileSystem.path("new.img"), size: "1MiB" });
  await promptly(200, "GET", "status");
  const another = await RawInitiator.connect(target.port);
  undo.add(() => another.destroy());
  await another.login({ targetName: TARGET_NAME, initiatorName: "iqn.2026-11.io.ringlun:another" });
  const { status, message } = await created;
  assert.deepEqual(
    [status, /new.img: its file system or device does not answer within/.test(message)],
    [409, true],
    message,
  );

  // A write that is in the store: its LUN is gone for everybody else, and the change says what is left.
  await initiator.start({ lun: 1, cdb: write16(0, 1), write: Buffer.alloc(BLOCK, 1) });
  const luns = `targets/${encodeURIComponent(TARGET_NAME)}/luns`;
  const unmapped = await send("DELETE", `${luns}/1`);
  assert.equal(unmapped.status, 504, unmapped.message);
  assert.match(unmapped.message, /in force, but not done in full: .*writes of session/);
  await promptly(200, "POST", "units", { name: "fine", file: "fine.img", size: "1MiB" });
  await promptly(200, "PUT", `${luns}/2`, { unit: "fine" });

  const deleted = await send("DELETE", "units/hangs?deleteFile=true");
  assert.equal(deleted.status, 504, deleted.message);
  assert.match(deleted.message, /what is under way on unit hangs does not end/);
  await promptly(409, "POST", "units", { name: "hangs", file: "other.img", size: "1MiB" });
  assert.ok(!existsSync(`${target.places.directory}/other.img`));

  const from = target.log.length;
  thaw();
  await target.waitForLog(/unit closed/, undefined, from);
  await promptly(200, "POST", "units", { name: "hangs", file: "other.img", size: "1MiB" });
  assert.ok(existsSync(fileSystem.path("hangs.img")));
  assert.ok(!existsSync(fileSystem.path("new.img")), "what was refused is not there later");
});

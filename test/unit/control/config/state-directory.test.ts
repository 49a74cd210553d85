import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import * as nodeFiles from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import * as z from "zod";
import {
  StateDirectory,
  StateError,
  type StateFile,
  type StateFiles,
} from "../../../../control/config/state-directory.js";
import { temporaryFolder } from "../../../support/undo.js";
import { type Choose, failure, forEveryChoice, MemoryDisk } from "./memory-disk.js";

const text = z.object({ text: z.string() });
const OLD = { text: "old ".repeat(50) };
const NEW = { text: "new ".repeat(80) };
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test("a document is read as it was written", async (t) => {
  const path = join(temporaryFolder(t), "state");
  const state = await StateDirectory.open(path);
  assert.equal(await state.read("thing", text), null);
  await state.write("thing", OLD);
  await state.write("other", NEW);
  assert.deepEqual(await state.read("thing", text), OLD);
  await state.write("thing", NEW);
  const again = await StateDirectory.open(path);
  assert.deepEqual(await again.read("thing", text), NEW);
  assert.deepEqual(readdirSync(path).sort(), ["other.json", "thing.json"]);
});

test("only the owner can open it", async (t) => {
  const path = join(temporaryFolder(t), "state");
  const state = await StateDirectory.open(path);
  await state.write("thing", OLD);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  assert.equal(statSync(join(path, "thing.json")).mode & 0o777, 0o600);
});

test("any JSON survives its checksum", async (t) => {
  const state = await StateDirectory.open(join(temporaryFolder(t), "state"));
  const odd = JSON.parse('{"b":[1e21,-0,0.1,"\\u2028\\ud800"],"10":null,"9":true,"__proto__":{"x":[]},"":""}');
  for (const data of [odd, null, 0, "", [], Number.NaN, new Date(0), { left: undefined }]) {
    await state.write("thing", data);
    assert.equal(JSON.stringify(await state.read("thing", z.unknown())), JSON.stringify(data));
  }
});

test("writes are done in the order of the calls, with the data of that moment", async (t) => {
  const state = await StateDirectory.open(join(temporaryFolder(t), "state"));
  const data = { text: "" };
  const writes: Promise<void>[] = [];
  for (let count = 0; count < 20; count++) {
    data.text = `${count}`;
    writes.push(state.write("thing", data));
  }
  data.text = "never";
  await Promise.all(writes);
  assert.deepEqual(await state.read("thing", text), { text: "19" });
});

test("a damaged document is refused and left alone", async (t) => {
  const folder = temporaryFolder(t);
  const state = await StateDirectory.open(folder);
  const path = join(folder, "thing.json");
  await state.write("thing", OLD);
  const sound = readFileSync(path, "utf8");
  const damages: [string | Uint8Array, RegExp][] = [
    ["", /is damaged: it is not JSON\. Nothing was changed\. Restore it from a backup, or move it away/],
    [sound.slice(0, -3), /it is not JSON/],
    [Buffer.of(0x22, 0xff, 0x22), /it is not JSON/],
    ["[]", /it is not a state document/],
    [sound.replace("old", "odd"), /its checksum is wrong/],
    [
      sound.replace('"version": 1', '"version": 2'),
      /has format 2, this program knows format 1: use the program that wrote it/,
    ],
  ];
  for (const [content, message] of damages) {
    writeFileSync(path, content);
    await assert.rejects(state.read("thing", text), (error) => {
      assert(error instanceof StateError);
      assert.match(error.message, message);
      assert.ok(error.message.startsWith(`${path} `));
      return true;
    });
    assert.deepEqual(readFileSync(path), Buffer.from(content));
  }
  await state.write("thing", { number: 1 });
  await assert.rejects(state.read("thing", text), /is damaged: its content has an unexpected form/);
});

test("a document that cannot be read is not taken for a missing one", async (t) => {
  const folder = temporaryFolder(t);
  mkdirSync(join(folder, "thing.json"));
  const state = await StateDirectory.open(folder);
  await assert.rejects(
    state.read("thing", text),
    /thing\.json cannot be read: EISDIR: illegal operation on a directory$/,
  );
});

test("a folder that cannot be used is refused", async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "file"), "");
  await assert.rejects(
    StateDirectory.open(join(folder, "file")),
    /cannot be used: ENOTDIR: not a directory; set stateDir/,
  );
  await assert.rejects(StateDirectory.open(join(folder, "no", "state")), /ENOENT: no such file or directory/);
});

test("what a killed process left is removed, what others put there is not", async (t) => {
  const folder = temporaryFolder(t);
  for (const name of [".thing.0123456789abcdef.tmp", ".other.tmp", "thing.tmp", "notes"])
    writeFileSync(join(folder, name), "x");
  await StateDirectory.open(folder);
  assert.deepEqual(readdirSync(folder).sort(), [".other.tmp", "notes", "thing.tmp"]);
});

test("a document's name is a plain word", async (t) => {
  const state = await StateDirectory.open(temporaryFolder(t));
  for (const name of ["", "../x", "a/b", "A", ".a"]) {
    assert.throws(() => state.write(name, OLD), /is no name for a state document/);
    await assert.rejects(state.read(name, text), /is no name for a state document/);
  }
  assert.throws(() => state.write("thing", undefined), /a state document is JSON/);
});

/** Asks before every call, also those on open files, whether it may be done. */
function guarded(files: StateFiles, ask: (call: string) => void, writeMax = Number.POSITIVE_INFINITY): StateFiles {
  const guardFile = (file: StateFile): StateFile => ({
    async write(bytes, offset, length) {
      ask("write");
      return file.write(bytes, offset, Math.min(length, writeMax));
    },
    async sync() {
      ask("sync");
      return file.sync();
    },
    // A process that is killed closes what it has open.
    async close() {
      await file.close();
      ask("close");
    },
  });
  return {
    async mkdir(path, mode) {
      ask("mkdir");
      return files.mkdir(path, mode);
    },
    async readdir(path) {
      ask("readdir");
      return files.readdir(path);
    },
    async readFile(path) {
      ask("readFile");
      return files.readFile(path);
    },
    async open(path, flags, mode) {
      ask(`open ${flags}`);
      return guardFile(await files.open(path, flags, mode));
    },
    async rename(from, to) {
      ask("rename");
      return files.rename(from, to);
    },
    async unlink(path) {
      ask("unlink");
      return files.unlink(path);
    },
  };
}

/** Lets `calls` calls through, then none. */
function killedAfter(calls: number): { ask: () => void; killed: () => boolean } {
  let left = calls;
  return {
    ask() {
      if (left-- <= 0) throw new Error("killed");
    },
    killed: () => left < 0,
  };
}

test("a process killed between any two calls leaves the old document or the new one", async (t) => {
  const seen = { old: 0, new: 0 };
  for (let calls = 0, killed = true; killed; calls++) {
    const path = join(temporaryFolder(t), "state");
    await (await StateDirectory.open(path)).write("thing", OLD);
    const switchOff = killedAfter(calls);
    const resolved = await StateDirectory.open(path, guarded(nodeFiles, switchOff.ask, 100))
      .then((state) => state.write("thing", NEW))
      .then(
        () => true,
        () => false,
      );
    killed = switchOff.killed();
    const found = await (await StateDirectory.open(path)).read("thing", text);
    assert.ok(found?.text === OLD.text || found?.text === NEW.text, `after ${calls} calls: ${JSON.stringify(found)}`);
    // From the rename on it is the new one.
    if (found.text === NEW.text) seen.new++;
    else assert.equal(seen.new, 0, `after ${calls} calls`);
    if (found.text === OLD.text) seen.old++;
    assert.equal(resolved, !killed);
    if (resolved) assert.deepEqual(found, NEW);
    assert.deepEqual(readdirSync(path), ["thing.json"]);
  }
  // mkdir, sync of the parent, readdir, create, four writes and more, sync, rename, sync of the folder.
  assert.ok(seen.old >= 10 && seen.new >= 4, JSON.stringify(seen));
});

/**
 * Writes a document on a new disk, which had OLD before or nothing, loses power after so many calls, and looks at
 * everything that may be left. Throws where that is neither the old document nor the new.
 */
async function tryPowerLoss(
  old: boolean,
  tamper: (files: StateFiles) => StateFiles,
): Promise<{ outcomes: Set<string>; states: number }> {
  const outcomes = new Set<string>();
  let states = 0;
  for (let calls = 0, killed = true; killed; calls++) {
    const disk = new MemoryDisk();
    if (old) await (await StateDirectory.open("/state", disk)).write("thing", OLD);
    const switchOff = killedAfter(calls);
    let resolved = false;
    await StateDirectory.open("/state", guarded(tamper(disk), switchOff.ask))
      .then((state) => state.write("thing", NEW))
      .then(() => (resolved = true))
      .catch(() => undefined);
    killed = switchOff.killed();
    await forEveryChoice(async (choose: Choose) => {
      states++;
      const state = await StateDirectory.open("/state", disk.losePower(choose));
      const found = await state.read("thing", text);
      const outcome = found === null ? "none" : found.text === NEW.text ? "new" : "old";
      assert.ok(outcome !== (old ? "none" : "old"), `after ${calls} calls: ${outcome}`);
      if (resolved) assert.equal(outcome, "new", `after ${calls} calls, acknowledged`);
      if (outcome === "old") assert.deepEqual(found, OLD);
      outcomes.add(outcome);
    });
  }
  return { outcomes, states };
}

test("a loss of power between any two calls leaves the old document or the new one", async () => {
  const replaced = await tryPowerLoss(true, (files) => files);
  assert.deepEqual([...replaced.outcomes].sort(), ["new", "old"]);
  assert.ok(replaced.states > 40, `${replaced.states}`);
  const first = await tryPowerLoss(false, (files) => files);
  assert.deepEqual([...first.outcomes].sort(), ["new", "none"]);
});

test("the test of power losses sees a sync that is left out", async () => {
  const without = (left: "r" | "wx") => (files: StateFiles) => ({
    mkdir: (path: string, mode: number) => files.mkdir(path, mode),
    readdir: (path: string) => files.readdir(path),
    readFile: (path: string) => files.readFile(path),
    rename: (from: string, to: string) => files.rename(from, to),
    unlink: (path: string) => files.unlink(path),
    async open(path: string, flags: "r" | "wx", mode?: number): Promise<StateFile> {
      const file = await files.open(path, flags, mode);
      return flags === left ? { ...file, sync: async () => undefined } : file;
    },
  });
  await assert.rejects(tryPowerLoss(true, without("wx")));
  await assert.rejects(tryPowerLoss(true, without("r")), /acknowledged/);
});

test("a write that fails leaves the old document and nothing else, and does not hinder the next", async (t) => {
  for (const failing of ["open wx", "write", "sync", "close", "rename"]) {
    const path = join(temporaryFolder(t), "state");
    let armed = false;
    const state = await StateDirectory.open(
      path,
      guarded(nodeFiles, (call) => {
        if (!armed || call !== failing) return;
        armed = false;
        throw failure("ENOSPC", "no space left on device");
      }),
    );
    await state.write("thing", OLD);
    armed = true;
    const failed = state.write("thing", NEW);
    const next = state.write("other", NEW);
    await assert.rejects(failed, (error) => {
      assert(error instanceof StateError);
      assert.equal(error.message, `${path}/thing.json cannot be written: ENOSPC: no space left on device`);
      return true;
    });
    await next;
    assert.deepEqual(await state.read("thing", text), OLD, failing);
    assert.deepEqual(readdirSync(path).sort(), ["other.json", "thing.json"], failing);
  }
});

test("a document that is removed is gone for good, and one that is not there may be removed", async () => {
  const disk = new MemoryDisk();
  const state = await StateDirectory.open("/state", disk);
  await state.write("thing", OLD);
  await state.remove("thing");
  await state.remove("thing");
  await forEveryChoice(async (choose: Choose) => {
    const after = await StateDirectory.open("/state", disk.losePower(choose));
    assert.equal(await after.read("thing", text), null);
  });
});

test("a parent folder that cannot be opened matters only when the folder is made in it", async () => {
  const noParent = (disk: StateFiles): StateFiles => ({
    mkdir: (path, mode) => disk.mkdir(path, mode),
    readdir: (path) => disk.readdir(path),
    readFile: (path) => disk.readFile(path),
    rename: (from, to) => disk.rename(from, to),
    unlink: (path) => disk.unlink(path),
    open: async (path, flags, mode) => {
      if (path === "/") throw failure("EACCES", "permission denied");
      return disk.open(path, flags, mode);
    },
  });
  const disk = new MemoryDisk();
  await assert.rejects(StateDirectory.open("/state", noParent(disk)), /EACCES: permission denied/);
  await StateDirectory.open("/state", noParent(disk));
});

test("identities are made once and kept under the units' names", async (t) => {
  const path = join(temporaryFolder(t), "state");
  const units = ["vm0", "0", "__proto__", "Gr\u00f6\u00dfe"].map((name) => ({ name, id: null }));
  const made = await (await StateDirectory.open(path)).unitIdentities(units);
  assert.deepEqual(
    [...made.keys()],
    units.map(({ name }) => name),
  );
  assert.equal(new Set(made.values()).size, units.length);
  for (const id of made.values()) assert.match(id, UUID);
  const state = await StateDirectory.open(path);
  assert.deepEqual(await state.unitIdentities([...units].reverse()), new Map([...made].reverse()));
  assert.equal(await state.unitIdentity("vm0"), made.get("vm0"));
  // A unit that was left out for a while is the same when it comes back.
  await state.unitIdentities([{ name: "vm1", id: null }]);
  assert.equal(await state.unitIdentity("vm0"), made.get("vm0"));
});

test("asked twice at once, a unit gets one identity", async (t) => {
  const state = await StateDirectory.open(temporaryFolder(t));
  const [first, second, other] = await Promise.all(["vm0", "vm0", "vm1"].map((name) => state.unitIdentity(name)));
  assert.equal(first, second);
  assert.notEqual(first, other);
});

test("a configured identity counts, and does not replace the kept one", async (t) => {
  const folder = temporaryFolder(t);
  const state = await StateDirectory.open(folder);
  const kept = await state.unitIdentity("vm0");
  const before = readFileSync(join(folder, "unit-identities.json"));
  const id = "123e4567-e89b-42d3-a456-426614174000";
  assert.deepEqual(await state.unitIdentities([{ name: "vm0", id }]), new Map([["vm0", id]]));
  assert.deepEqual(readFileSync(join(folder, "unit-identities.json")), before);
  assert.equal(await state.unitIdentity("vm0"), kept);
  // Under another name the identity can be kept on with: a renamed unit.
  assert.deepEqual(await state.unitIdentities([{ name: "vm1", id: kept }]), new Map([["vm1", kept]]));
});

test("where all identities are configured, nothing is written", async (t) => {
  const folder = temporaryFolder(t);
  await (await StateDirectory.open(folder)).unitIdentities([
    { name: "vm0", id: "123e4567-e89b-42d3-a456-426614174000" },
  ]);
  assert.ok(!existsSync(join(folder, "unit-identities.json")));
});

test("two units of one identity are refused", async (t) => {
  const state = await StateDirectory.open(temporaryFolder(t));
  const kept = await state.unitIdentity("vm0");
  await assert.rejects(
    state.unitIdentities([
      { name: "vm1", id: kept },
      { name: "vm0", id: null },
    ]),
    (error) =>
      error instanceof StateError &&
      error.message.startsWith(`units "vm1" and "vm0" have the same identity, ${kept}: give`),
  );
  // The next call is served.
  assert.equal(await state.unitIdentity("vm0"), kept);
});

test("damaged identities are never made anew", async (t) => {
  const folder = temporaryFolder(t);
  const state = await StateDirectory.open(folder);
  await state.unitIdentity("vm0");
  const path = join(folder, "unit-identities.json");
  const damaged = readFileSync(path, "utf8").replace("vm0", "vm1");
  writeFileSync(path, damaged);
  await assert.rejects(state.unitIdentity("vm0"), /unit-identities\.json is damaged: its checksum is wrong/);
  await assert.rejects(state.unitIdentity("vm2"), StateError);
  assert.equal(readFileSync(path, "utf8"), damaged);
});

/** Files that requests may reach, while somebody who may write below a root puts links in the way. */
import assert from "node:assert/strict";
import {
  closeSync,
  fstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import type { FileUnitConfiguration } from "../../../../control/config/schema.js";
import { identityOf, removeFile } from "../../../../control/files/file-roots.js";
import { openFile } from "../../../../control/units/file-unit.js";
import { Undo } from "../../../support/undo.js";
import { fileUnit } from "../support/fixtures.js";

const ATTEMPTS = 3000;
const OUTSIDE = /is in none of the folders that api.fileRoots lists/;

interface Place {
  readonly root: string;
  readonly outside: string;
  readonly folder: string;
}

function place(undo: Undo): Place {
  const base = undo.folder();
  const [root, outside] = [join(base, "root"), join(base, "outside")];
  for (const path of [root, outside, join(root, "folder")]) mkdirSync(path);
  return { root, outside, folder: join(root, "folder") };
}

/** Until the test ends, the folder is a folder and a link out of the root in turn. */
async function swap(undo: Undo, { folder, outside }: Place): Promise<void> {
  const source = `
    const { renameSync, symlinkSync, unlinkSync } = require("node:fs");
    const { parentPort, workerData: { folder, outside } } = require("node:worker_threads");
    const aside = folder + ".aside";
    let isEnding = false;
    parentPort.on("message", () => { isEnding = true; });
    function turn() {
      for (let i = 0; i < 50; i++) {
        renameSync(folder, aside);
        symlinkSync(outside, folder);
        unlinkSync(folder);
        renameSync(aside, folder);
      }
      if (isEnding) parentPort.close();
      else setImmediate(turn);
    }
    parentPort.postMessage("begun");
    turn();
  `;
  const worker = new Worker(source, { eval: true, workerData: { folder, outside } });
  const ended = new Promise((resolve) => worker.once("exit", resolve));
  undo.add(async () => {
    worker.postMessage("end");
    await ended;
  });
  await new Promise((resolve) => worker.once("message", resolve));
}

function open(unit: FileUnitConfiguration, roots: readonly string[]): boolean {
  try {
    const { descriptors } = openFile(unit, 1, roots);
    for (const fd of descriptors) closeSync(fd);
    return true;
  } catch {
    return false;
  }
}

test("a file is made below a root or not at all, whatever becomes of the folders on its way", async (context) => {
  const undo = new Undo(context);
  const there = place(undo);
  await swap(undo, there);
  let made = 0;
  for (let i = 0; i < ATTEMPTS; i++) {
    if (open(fileUnit(join(there.folder, `${i}.img`)), [there.root])) made++;
    assert.deepEqual(readdirSync(there.outside), []);
  }
  assert.ok(made > 0);
});

test("a file that is there is opened below a root or not at all", async (context) => {
  const undo = new Undo(context);
  const there = place(undo);
  writeFileSync(join(there.folder, "disk.img"), Buffer.alloc(4096, 1));
  writeFileSync(join(there.outside, "disk.img"), Buffer.alloc(4096, 2));
  await swap(undo, there);
  const unit = fileUnit(join(there.folder, "disk.img"), { sizeBytes: null });
  const inside = statSync(join(there.outside, "disk.img")).ino;
  let opened = 0;
  for (let i = 0; i < ATTEMPTS; i++) {
    try {
      const { descriptors } = openFile(unit, 1, [there.root]);
      opened++;
      for (const fd of descriptors) {
        assert.notEqual(fstatSync(fd).ino, inside);
        closeSync(fd);
      }
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
    }
  }
  assert.ok(opened > 0);
});

test("a file is removed below a root or not at all, and only if it is the one that was meant", async (context) => {
  const undo = new Undo(context);
  const there = place(undo);
  const victim = join(there.outside, "disk.img");
  writeFileSync(victim, "theirs");
  const path = join(there.folder, "disk.img");
  writeFileSync(path, "ours");
  const identity = identityOf(statSync(path, { bigint: true }));
  const another = identityOf(statSync(victim, { bigint: true }));
  assert.throws(() => removeFile(path, another, [there.root]), /another file is there by now, or a link/);
  assert.throws(() => removeFile(victim, another, [there.root]), OUTSIDE);
  symlinkSync(victim, join(there.root, "link"));
  assert.throws(() => removeFile(join(there.root, "link"), another, [there.root]), /or a link/);
  await swap(undo, there);
  // Even of a file that has come there from outside, by name and identity.
  for (let i = 0; i < ATTEMPTS; i++) assert.throws(() => removeFile(path, another, [there.root]));
  assert.equal(readFileSync(victim, "utf8"), "theirs");
  for (;;) {
    try {
      removeFile(path, identity, [there.root]);
      break;
    } catch (error) {
      assert.doesNotMatch(String(error), /Assertion/);
    }
  }
});

test("a link below a root may lead to a file below a root, and nowhere else; what is no disk is not opened", (context) => {
  const { root, outside, folder } = place(new Undo(context));
  writeFileSync(join(folder, "disk.img"), Buffer.alloc(4096));
  writeFileSync(join(outside, "disk.img"), Buffer.alloc(4096));
  symlinkSync(join(folder, "disk.img"), join(root, "in.img"));
  symlinkSync(join(outside, "disk.img"), join(root, "out.img"));
  symlinkSync(join(outside, "new.img"), join(root, "nowhere.img"));
  const unit = (path: string) => fileUnit(join(root, path));
  assert.ok(open(unit("in.img"), [root]));
  assert.throws(() => openFile(unit("out.img"), 1, [root]), OUTSIDE);
  assert.throws(() => openFile(unit("nowhere.img"), 1, [root]), /EEXIST/);
  assert.throws(() => openFile(unit("folder"), 1, [root]), /neither a regular file nor a block device/);
  assert.deepEqual(readdirSync(outside), ["disk.img"]);
  // What people have written may lead anywhere.
  const { descriptors } = openFile(unit("out.img"), 1);
  for (const fd of descriptors) closeSync(fd);
});

test("a file that is made, and cannot be what it should, is gone again", (context) => {
  const { root } = place(new Undo(context));
  assert.throws(() => openFile(fileUnit(join(root, "vast.img"), { sizeBytes: 2 ** 62 }), 1, [root]), /out of range/);
  assert.deepEqual(readdirSync(root), ["folder"]);
});

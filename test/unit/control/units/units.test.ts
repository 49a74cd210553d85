import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { lockFile, TMPFS_MAGIC } from "io-uring-node";
import { StatisticsMemory } from "../../../../control/statistics.js";
import { UnitError, UnitInUseError } from "../../../../control/units/file-unit.js";
import { Units } from "../../../../control/units/units.js";
import { temporaryFolder } from "../../../support/undo.js";
import { fileUnit, nullUnit, silent } from "../support/fixtures.js";

const UUID = "00000000-0000-4000-8000-000000000000";
const MIB = 1 << 20;

function units(context: TestContext): Units {
  const all = new Units(silent, new StatisticsMemory(2));
  context.after(() => all.closeAll());
  return all;
}

function refusal(open: () => unknown): string {
  try {
    open();
  } catch (error) {
    assert.ok(error instanceof UnitError, String(error));
    return error.message;
  }
  return assert.fail("it was opened");
}

describe("a file that is not there", () => {
  test("is created sparse and for its owner alone, where a size is given", (context) => {
    const path = join(temporaryFolder(context), "new.img");
    const record = units(context).open(fileUnit(path), UUID);
    const { size, blocks, mode } = statSync(path);
    assert.deepEqual([size, blocks, mode & 0o777], [MIB, 0, 0o600]);
    assert.deepEqual([record.kind, record.state.sizeBytes, record.uuid], ["file", MIB, UUID]);
    assert.equal(fstatSync(record.fd).size, MIB);
  });

  test("is refused where no size is given, or where it is to be read only", (context) => {
    const path = join(temporaryFolder(context), "new.img");
    const all = units(context);
    assert.match(
      refusal(() => all.open(fileUnit(path, { sizeBytes: null }), UUID)),
      /disk: .*give the unit a size/,
    );
    assert.match(
      refusal(() => all.open(fileUnit(path, { readOnly: true }), UUID)),
      /does not exist/,
    );
    assert.ok(!existsSync(path));
    const nowhere = join(temporaryFolder(context), "no", "such", "folder");
    assert.match(
      refusal(() => all.open(fileUnit(nowhere), UUID)),
      /ENOENT/,
    );
  });
});

describe("size", () => {
  test("is the file's own where none is given, in whole blocks", (context) => {
    const path = join(temporaryFolder(context), "old.img");
    writeFileSync(path, Buffer.alloc(10_000));
    assert.equal(
      units(context).open(fileUnit(path, { sizeBytes: null, blockLengthBytes: 4096 }), UUID).state.sizeBytes,
      8192,
    );
    assert.equal(statSync(path).size, 10_000);
  });

  test("grows to what is configured, keeping what is there", (context) => {
    const path = join(temporaryFolder(context), "old.img");
    writeFileSync(path, "content");
    assert.equal(units(context).open(fileUnit(path), UUID).state.sizeBytes, MIB);
    assert.equal(statSync(path).size, MIB);
    assert.equal(readFileSync(path).toString("latin1", 0, 8), "content\0");
  });

  test("that is taken back leaves what else has changed meanwhile", async (context) => {
    const path = join(temporaryFolder(context), "disk.img");
    const open = units(context);
    const { name, unitIndex, state } = open.open(fileUnit(path), UUID);
    const shrink = await open.grow(fileUnit(path, { sizeBytes: 2 * MIB }));
    assert.equal(statSync(path).size, 2 * MIB);
    open.setState(unitIndex, { ...open.find(name)!.state, writeCacheEnabled: false });
    await shrink();
    assert.deepEqual(open.find(name)!.state, { ...state, writeCacheEnabled: false });
    assert.equal(statSync(path).size, MIB);
  });

  test("never shrinks", (context) => {
    const path = join(temporaryFolder(context), "old.img");
    writeFileSync(path, "");
    truncateSync(path, 2 * MIB);
    assert.match(
      refusal(() => units(context).open(fileUnit(path), UUID)),
      /never shrunk/,
    );
    assert.equal(statSync(path).size, 2 * MIB);
  });

  test("of less than a block is none", (context) => {
    const path = join(temporaryFolder(context), "old.img");
    writeFileSync(path, "content");
    assert.match(
      refusal(() => units(context).open(fileUnit(path, { sizeBytes: null }), UUID)),
      /not one block/,
    );
    const readOnly = fileUnit(path, { readOnly: true });
    assert.match(
      refusal(() => units(context).open(readOnly, UUID)),
      /cannot grow/,
    );
  });
});

describe("the lock", () => {
  test("keeps a second unit of this process off the same file, under whatever name", (context) => {
    const path = join(temporaryFolder(context), "a.img");
    const all = units(context);
    all.open(fileUnit(path), UUID);
    linkSync(path, `${path}.link`);
    for (const same of [path, `${path}.link`]) {
      assert.match(
        refusal(() => all.open(fileUnit(same, { name: "second" }), UUID)),
        /unit second: .* is in use/,
      );
      assert.match(
        refusal(() => all.open(fileUnit(same, { name: "second", readOnly: true }), UUID)),
        /is in use/,
      );
    }
  });

  test("keeps another process off", (context) => {
    const path = join(temporaryFolder(context), "a.img");
    units(context).open(fileUnit(path), UUID);
    const attempt = `
      const { Units } = await import(${JSON.stringify(new URL("../../../../control/units/units.js", import.meta.url))});
      const { StatisticsMemory } = await import(${JSON.stringify(new URL("../../../../control/statistics.js", import.meta.url))});
      const { pino } = await import("pino");
      try {
        new Units(pino({ level: "silent" }), new StatisticsMemory(1)).open(${JSON.stringify(fileUnit(path))}, "");
      } catch ({ message }) {
        console.log(message);
      }`;
    const cwd = new URL("../../../../..", import.meta.url);
    const said = execFileSync(process.execPath, ["--input-type=module", "-e", attempt], { cwd, encoding: "utf8" });
    assert.match(said, /is in use/);
  });

  test("is shared by readers, and gone with the unit", async (context) => {
    const path = join(temporaryFolder(context), "a.img");
    writeFileSync(path, Buffer.alloc(MIB));
    const all = units(context);
    all.open(fileUnit(path, { name: "one", readOnly: true }), UUID);
    all.open(fileUnit(path, { name: "two", readOnly: true }), UUID);
    assert.match(
      refusal(() => all.open(fileUnit(path), UUID)),
      /is in use/,
    );
    assert.ok(await all.close("one"));
    assert.ok(await all.close("two"));
    all.open(fileUnit(path), UUID);
  });
});

describe("a file of which a killed process still has operations in flight", () => {
  // What is in flight keeps its open file description, and with it this lock, whichever of the two descriptions it is.
  for (const [through, start, length] of [
    ["the page cache", 0, 2 ** 52],
    ["O_DIRECT", 2 ** 52, 0],
  ] as const) {
    test(`through ${through}: nobody has it before they are over`, async (context) => {
      const path = join(temporaryFolder(context, process.cwd()), "a.img");
      writeFileSync(path, Buffer.alloc(MIB));
      const left = openSync(path, "r+");
      assert.equal(lockFile(left, true, start, length), 0);
      const all = units(context);
      for (const cache of ["direct", "writeback"] as const) {
        assert.match(
          refusal(() => all.open(fileUnit(path, { cache }), UUID)),
          /is in use/,
        );
      }
      assert.match(
        refusal(() => all.open(fileUnit(path, { readOnly: true }), UUID)),
        /is in use/,
      );
      const opening = all.openWhenFree(fileUnit(path), UUID);
      closeSync(left);
      assert.equal((await opening).name, "disk");
    });
  }

  test("is not waited for any longer than such a process takes", async (context) => {
    const path = join(temporaryFolder(context), "a.img");
    const all = units(context);
    all.open(fileUnit(path), UUID);
    await assert.rejects(all.openWhenFree(fileUnit(path, { name: "second" }), UUID), UnitInUseError);
  });
});

describe("cache", () => {
  test("direct has a second descriptor, for what is misaligned, where the file system has direct I/O", (context) => {
    const path = join(temporaryFolder(context, process.cwd()), "a.img");
    if (statfsSync(process.cwd()).type === TMPFS_MAGIC) {
      context.skip("the current folder is in memory: no direct I/O to be had");
      return;
    }
    const record = units(context).open(fileUnit(path, { cache: "direct" }), UUID);
    if (record.cache !== "direct") {
      context.skip("the file system of the current folder refuses O_DIRECT");
      return;
    }
    assert.notEqual(record.fd, record.bufferedFd);
    assert.ok(record.alignmentBytes >= 512 && record.alignmentBytes % 512 === 0, `${record.alignmentBytes}`);
    assert.equal(record.inMemory, false);
  });

  test("direct in memory is the page cache, and said to be", (context) => {
    if (!existsSync("/dev/shm") || statfsSync("/dev/shm").type !== TMPFS_MAGIC) {
      context.skip("there is no tmpfs at /dev/shm");
      return;
    }
    const record = units(context).open(
      fileUnit(join(temporaryFolder(context, "/dev/shm"), "a.img"), { cache: "direct" }),
      UUID,
    );
    assert.deepEqual([record.cache, record.alignmentBytes, record.inMemory], ["writeback", 1, true]);
    assert.equal(record.fd, record.bufferedFd);
    assert.equal(record.thin, true);
  });

  test("writeback and writethrough are buffered", (context) => {
    for (const cache of ["writeback", "writethrough"] as const) {
      const record = units(context).open(fileUnit(join(temporaryFolder(context), "a.img"), { cache }), UUID);
      assert.deepEqual([record.cache, record.alignmentBytes, record.fd === record.bufferedFd], [cache, 1, true]);
    }
  });
});

/** A loop device over 8 MiB, or undefined: then the test has been skipped. */
function loopDevice(context: TestContext, ...options: string[]): string | undefined {
  const path = join(temporaryFolder(context), "backing.img");
  writeFileSync(path, "");
  truncateSync(path, 8 * MIB);
  let device: string;
  try {
    device = execFileSync("losetup", [...options, "--find", "--show", path], {
      encoding: "utf8",
      stdio: "pipe",
    }).trim();
  } catch {
    context.skip("no loop device to be had: that takes root and losetup");
    return undefined;
  }
  context.after(() => execFileSync("losetup", ["--detach", device]));
  return device;
}

test("a block device is served as large as it is, and by one unit only", (context) => {
  const device = loopDevice(context);
  if (device === undefined) return;
  const all = units(context);
  const unit = fileUnit(device, { sizeBytes: null, cache: "direct" });
  const record = all.open(unit, UUID);
  assert.deepEqual(
    [record.kind, record.state.sizeBytes, record.cache, record.inMemory],
    ["block", 8 * MIB, "direct", false],
  );
  assert.ok(record.alignmentBytes >= 512);
  assert.deepEqual([record.rangeAlignmentBytes, record.thin], [512, true]);
  assert.match(
    refusal(() => all.open({ ...unit, name: "second" }, UUID)),
    /second: .*busy/,
  );
  assert.match(
    refusal(() => units(context).open({ ...unit, sizeBytes: 9 * MIB, readOnly: true }, UUID)),
    /in use|has 8388608 bytes/,
  );
});

test("a device whose sectors are longer than the blocks is not thin: it would refuse to discard a single block", async (context) => {
  const device = loopDevice(context, "--sector-size", "4096");
  if (device === undefined) return;
  const all = units(context);
  const unit = fileUnit(device, { sizeBytes: null, cache: "direct" });
  const short = all.open(unit, UUID);
  assert.deepEqual([short.blockLengthBytes, short.rangeAlignmentBytes, short.thin], [512, 4096, false]);
  assert.ok(short.alignmentBytes >= 4096);
  await all.close("disk");
  const long = all.open({ ...unit, blockLengthBytes: 4096 }, UUID);
  assert.deepEqual([long.blockLengthBytes, long.rangeAlignmentBytes, long.thin], [4096, 4096, true]);
});

test("what is neither file nor device is refused", (context) => {
  const path = temporaryFolder(context);
  mkdirSync(join(path, "folder"));
  assert.match(
    refusal(() => units(context).open(fileUnit(join(path, "folder"), { readOnly: true }), UUID)),
    /neither/,
  );
  const device = fileUnit("/dev/null", { sizeBytes: null });
  assert.match(
    refusal(() => units(context).open(device, UUID)),
    /neither/,
  );
});

test("a refused unit leaves no descriptor behind", (context) => {
  const path = join(temporaryFolder(context), "old.img");
  writeFileSync(path, "");
  truncateSync(path, 2 * MIB);
  refusal(() => units(context).open(fileUnit(path), UUID));
  // Nor a lock.
  units(context).open(fileUnit(path, { sizeBytes: null }), UUID);
});

test("a null unit has no file; each unit has its own number; a closed one is found no more", async (context) => {
  const all = units(context);
  const record = all.open(nullUnit("one"), UUID);
  assert.deepEqual([record.kind, record.fd, record.bufferedFd, record.state.sizeBytes], ["null", -1, -1, MIB]);
  const other = all.open(nullUnit("two"), UUID);
  assert.notEqual(record.unitIndex, other.unitIndex);
  assert.deepEqual(all.records(), [record, other]);
  assert.ok(await all.close("one"));
  assert.equal(all.find("one"), undefined);
  assert.notEqual(all.open(nullUnit("one"), UUID).unitIndex, record.unitIndex);
});

/** WRITE ATOMIC where control carries it out: in which order, and what is left of one that has failed. */
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import * as z from "zod";
import type { StateDirectory } from "../../../../control/config/state-directory.js";
import { AtomicWrites } from "../../../../control/units/atomic-writes.js";
import type { UnitRecord } from "../../../../dataplane/messages.js";
import { silent } from "../support/fixtures.js";
import { fileUnitRecord, SlowFixture, stateDirectory, UUID } from "./slow-fixture.js";

const BYTES = 4096;
const OLD = 0x11;
const NEW = 0x22;
const DOCUMENT = `atomic-write-${UUID}`;
const LBA = 16;
const CDB = "9c 00 0000000000000010 0000 0008 00 00";

class Setup {
  readonly path: string;
  readonly state: StateDirectory;
  readonly unit: UnitRecord;
  readonly steps: string[] = [];
  /** What the unit's file had whenever stateDir was written. */
  readonly found: number[] = [];
  /** Writes of stateDir that fail: by their number, from 0 on. */
  readonly failing = new Set<number>();

  private constructor(path: string, state: StateDirectory, fd: number) {
    this.path = path;
    this.state = state;
    this.unit = { ...fileUnitRecord(), fd, bufferedFd: fd };
    const write = state.write.bind(state);
    let writes = 0;
    state.write = async (name, data) => {
      this.found.push(this.byte());
      this.steps.push((data as { write: unknown }).write === null ? "drop" : "keep");
      if (this.failing.has(writes++)) throw new Error("no space");
      await write(name, data);
    };
  }

  static async make(context: TestContext, flags = "r+"): Promise<Setup> {
    const folder = mkdtempSync(join(tmpdir(), "ringlun-atomic-writes-"));
    const path = join(folder, "disk.img");
    writeFileSync(path, Buffer.alloc(64 * BYTES, OLD));
    const fd = openSync(path, flags);
    context.after(() => {
      closeSync(fd);
      rmSync(folder, { recursive: true });
    });
    return new Setup(path, await stateDirectory(context), fd);
  }

  async write(): Promise<string> {
    const fixture = new SlowFixture(this.unit);
    fixture.units.at = () => this.unit;
    const alone = async <T>(unitIndex: number, run: () => Promise<T>): Promise<T> => {
      assert.equal(unitIndex, this.unit.unitIndex);
      this.steps.push("alone");
      try {
        return await run();
      } finally {
        this.steps.push("over");
      }
    };
    new AtomicWrites(this.state, silent).serve(fixture.commands, { alone });
    const answer = await fixture.run(fixture.login("1"), CDB, Buffer.alloc(BYTES, NEW).toString("hex"));
    return answer.kind === "sense" ? `${answer.senseKey}/${answer.asc}/${answer.ascq}` : answer.kind;
  }

  byte(): number {
    const bytes = new Set(readFileSync(this.path).subarray(LBA * 512, LBA * 512 + BYTES));
    assert.equal(bytes.size, 1, "not torn");
    return [...bytes][0]!;
  }

  kept(): Promise<unknown> {
    return this.state.read(DOCUMENT, z.unknown());
  }
}

test("it is kept before it is written, dropped after that, and nobody else writes meanwhile", async (context) => {
  const setup = await Setup.make(context);
  assert.equal(await setup.write(), "good");
  assert.deepEqual(setup.steps, ["alone", "keep", "drop", "over"]);
  assert.deepEqual(setup.found, [OLD, NEW]);
  assert.equal(setup.byte(), NEW);
  assert.deepEqual(await setup.kept(), { write: null });
});

test("what cannot be kept is not written", async (context) => {
  const setup = await Setup.make(context);
  setup.failing.add(0);
  // INTERNAL TARGET FAILURE
  assert.equal(await setup.write(), "4/68/0");
  assert.equal(setup.byte(), OLD);
  assert.deepEqual(setup.steps, ["alone", "keep", "drop", "over"]);
});

test("what cannot be written is not kept, and the initiator hears why", async (context) => {
  const setup = await Setup.make(context, "r");
  // EBADF, of a file that is open for reading: INTERNAL TARGET FAILURE
  assert.equal(await setup.write(), "4/68/0");
  assert.deepEqual(await setup.kept(), { write: null });
});

test("where it cannot be dropped, it is not said to be good", async (context) => {
  const setup = await Setup.make(context);
  setup.failing.add(1);
  assert.equal(await setup.write(), "4/68/0");
});

test("what is kept is written at the next start, once", async (context) => {
  const setup = await Setup.make(context);
  const data = Buffer.alloc(BYTES, NEW).toString("base64");
  await setup.state.write(DOCUMENT, { write: { offset: LBA * 512, data } });
  const readOnly = { ...setup.unit, readOnly: true };
  await new AtomicWrites(setup.state, silent).finish(readOnly);
  assert.equal(setup.byte(), OLD, "not while the unit is read-only");
  await new AtomicWrites(setup.state, silent).finish(setup.unit);
  assert.equal(setup.byte(), NEW);
  assert.deepEqual(await setup.kept(), { write: null });
});

test("a unit that cannot be written is not served with a part of a write", async (context) => {
  const setup = await Setup.make(context, "r");
  const data = Buffer.alloc(BYTES, NEW).toString("base64");
  await setup.state.write(DOCUMENT, { write: { offset: 0, data } });
  await assert.rejects(new AtomicWrites(setup.state, silent).finish(setup.unit), /^Error: unit disk: .*\(errno 9\)$/);
  assert.deepEqual(await setup.kept(), { write: { offset: 0, data } });
});

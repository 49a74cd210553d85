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
  /** The first so many of them fail. */
  failing = { keep: 0, drop: 0 };

  private constructor(path: string, state: StateDirectory, fd: number) {
    this.path = path;
    this.state = state;
    this.unit = { ...fileUnitRecord(), fd, bufferedFd: fd };
    const [write, remove] = [state.write.bind(state), state.remove.bind(state)];
    state.write = async (name, data) => {
      this.#step("keep");
      await write(name, data);
    };
    state.remove = async (name) => {
      this.#step("drop");
      await remove(name);
    };
  }

  #step(step: "keep" | "drop"): void {
    this.found.push(this.byte());
    this.steps.push(step);
    if (this.failing[step]-- > 0) throw new Error("no space");
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

  /** As another process would find it. */
  async copyOfState(context: TestContext): Promise<StateDirectory> {
    const copy = await stateDirectory(context);
    const kept = await this.kept();
    if (kept !== null) await copy.write(DOCUMENT, kept);
    return copy;
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
  assert.equal(await setup.kept(), null);
});

test("what cannot be kept is not written", async (context) => {
  const setup = await Setup.make(context);
  setup.failing.keep = 1;
  // INTERNAL TARGET FAILURE
  assert.equal(await setup.write(), "4/68/0");
  assert.equal(setup.byte(), OLD);
  assert.deepEqual(setup.steps, ["alone", "keep", "drop", "over"]);
});

test("what cannot be written is not kept, and the initiator hears why", async (context) => {
  const setup = await Setup.make(context, "r");
  // EBADF, of a file that is open for reading: INTERNAL TARGET FAILURE
  assert.equal(await setup.write(), "4/68/0");
  assert.equal(await setup.kept(), null);
});

test("as long as it cannot be dropped, nobody else writes: a start would put it over what is newer", async (context) => {
  const setup = await Setup.make(context);
  setup.failing.drop = 2;
  const written = setup.write();
  for (const drops of [1, 2]) {
    while (setup.steps.filter((step) => step === "drop").length < drops)
      await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(setup.steps.at(-1), "drop");
    // What a start would do here changes nothing.
    await new AtomicWrites(await setup.copyOfState(context), silent).finish(setup.unit);
    assert.equal(setup.byte(), NEW);
  }
  assert.equal(await written, "good");
  assert.deepEqual(setup.steps, ["alone", "keep", "drop", "drop", "drop", "over"]);
  assert.equal(await setup.kept(), null);
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
  assert.equal(await setup.kept(), null);
  await setup.state.write(DOCUMENT, { write: null });
  await new AtomicWrites(setup.state, silent).finish(setup.unit);
});

test("a unit that cannot be written is not served with a part of a write", async (context) => {
  const setup = await Setup.make(context, "r");
  const data = Buffer.alloc(BYTES, NEW).toString("base64");
  await setup.state.write(DOCUMENT, { write: { offset: 0, data } });
  await assert.rejects(new AtomicWrites(setup.state, silent).finish(setup.unit), /^Error: unit disk: .*\(errno 9\)$/);
  assert.deepEqual(await setup.kept(), { write: { offset: 0, data } });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Session } from "../../../../control/session-registry.js";
import { Logs } from "../../../../control/units/logs.js";
import type { UnitRecord } from "../../../../dataplane/messages.js";
import {
  ERRORS,
  READ_BYTES,
  READ_FAILURES,
  statisticsBlock,
  VERIFIED_BYTES,
  WRITTEN_BYTES,
} from "../../../../dataplane/statistics.js";
import { fileUnitRecord, SlowFixture } from "./slow-fixture.js";

const MIB = 2 ** 20;

function sense(page: number, subpage = 0, pointer = 0, length = 0xffff): string {
  const bytes = Buffer.from([0x4d, 0, page, subpage, 0, 0, 0, 0, 0, 0]);
  bytes.writeUInt16BE(pointer, 5);
  bytes.writeUInt16BE(length, 7);
  return bytes.toString("hex");
}

function select(flags: number, page = 0, length = 0, subpage = 0): string {
  const bytes = Buffer.from([0x4c, flags, page, subpage, 0, 0, 0, 0, 0, 0]);
  bytes.writeUInt16BE(length, 7);
  return bytes.toString("hex");
}

class LogFixture extends SlowFixture {
  resources = { availableBytes: 5.9 * MIB, usedBytes: 2.1 * MIB };
  /** Measuring takes until then. */
  measuring: Promise<void> = Promise.resolve();
  readonly session: Session;
  /** Of the unit: reads, writes, bytes and times as dataplane/statistics.ts has them. */
  readonly counters: Float64Array;

  constructor(unit?: UnitRecord) {
    super(unit);
    this.session = this.login("1");
    this.counters = statisticsBlock(this.statistics.shards[0]!, this.unit.statisticsBlock);
    new Logs({
      counted: (of) => this.statistics.read(of.statisticsBlock),
      measure: async () => {
        await this.measuring;
        return this.resources;
      },
    }).serve(this.commands, this.changes);
  }

  ask(page: number, subpage = 0, pointer = 0, length = 0xffff): Promise<string> {
    return this.data(this.session, sense(page, subpage, pointer, length));
  }
}

const onFile = () => new LogFixture(fileUnitRecord());
const onNothing = () => new LogFixture();

test("the lists of pages, and of pages with their subpages", async () => {
  const fixture = onFile();
  assert.equal(await fixture.ask(0x00), "0000000a" + "00020305060c0d0e192f");
  assert.equal(
    await fixture.ask(0x00, 0xff),
    "40ff0028000000ff020002ff030003ff050005ff060006ff0c000cff0d000dff0e000eff190019ff2f002fff",
  );
  for (const page of [0x02, 0x03, 0x05, 0x06, 0x0c, 0x0d, 0x0e, 0x19, 0x2f]) {
    const code = page.toString(16).padStart(2, "0");
    assert.equal(await fixture.ask(page, 0xff), `${(page | 0x40).toString(16)}ff0004${code}00${code}ff`);
  }
});

test("a unit that is no thin file has no Logical Block Provisioning page", async () => {
  const fixture = onNothing();
  assert.equal(await fixture.ask(0x00), "00000009" + "00020305060d0e192f");
  for (const subpage of [0, 0xff])
    assert.equal(await fixture.sense(fixture.session, sense(0x0c, subpage)), "5/24/0 cdb 2.5");
});

test("Logical Block Provisioning: what is available and what is used, in MiB", async () => {
  const fixture = onFile();
  const page = (available: string, used: string) =>
    `8c000018${`00012308${available}02000000`}${`00022308${used}01000000`}`;
  assert.equal(await fixture.ask(0x0c), page("00000005", "00000003"));
  fixture.resources = { availableBytes: 2 ** 53, usedBytes: 0 };
  assert.equal(await fixture.ask(0x0c), page("ffffffff", "00000000"));
  fixture.resources = { availableBytes: 0, usedBytes: 2 ** 52 + 1 };
  assert.equal(await fixture.ask(0x0c), page("00000000", "ffffffff"));
});

test("what is not known is told as not known", async () => {
  const fixture = onNothing();
  assert.equal(await fixture.ask(0x0d), "8d00000c" + "0000230200ff" + "0001230200ff");
  assert.equal(
    await fixture.ask(0x0e),
    `8e00001c${`00012106${"20".repeat(6)}`}${`00022106${"20".repeat(6)}`}0004230400000000`,
  );
  assert.equal(await fixture.ask(0x2f), "af000008" + "000023040000ffff");
});

test("General Statistics and Performance: commands, blocks and microseconds, since the log was reset", async () => {
  const fixture = onNothing();
  const page = (...values: number[]) => {
    const words = values.map((value) => value.toString(16).padStart(16, "0")).join("");
    return `99000050${`00012340${words}${"00".repeat(16)}`}${"000323080000000600000001"}`;
  };
  assert.equal(await fixture.ask(0x19), page(0, 0, 0, 0, 0, 0));
  // Reads, writes, others, bytes read, bytes written; the times of reads and writes.
  fixture.counters.set([7, 300, 9, 512 * 11, 512 * 0x1_0000_0001]);
  fixture.counters[26] = 12_345;
  fixture.counters[26 + 18] = 0xabc;
  assert.equal(await fixture.ask(0x19), page(7, 300, 0x1_0000_0001, 11, 12_345, 0xabc));
  assert.equal(await fixture.ask(0xd9), page(0, 0, 0, 0, 0, 0), "default values");
  assert.deepEqual(await fixture.run(fixture.session, select(0x02, 0x59)), { kind: "good" });
  assert.equal(await fixture.ask(0x19), page(0, 0, 0, 0, 0, 0));
  fixture.counters[0]! += 2;
  assert.equal(await fixture.ask(0x19), page(2, 0, 0, 0, 0, 0));
  assert.deepEqual(fixture.made, [
    { attentions: [{ asc: 0x2a, ascq: 0x02, exceptSessions: [fixture.session.sessionId] }] },
  ]);
  assert.deepEqual(await fixture.run(fixture.session, select(0x02)), { kind: "good" }, "all pages");
  assert.equal(await fixture.ask(0x19), page(0, 0, 0, 0, 0, 0));
});

test("error counters: bytes moved and commands that failed at the medium, since the log was reset", async () => {
  const fixture = onNothing();
  const page = (code: string, bytes: number, failures: number) => {
    const [total, uncorrected] = [bytes, failures].map((value) => value.toString(16).padStart(16, "0"));
    return `${code}0000180005 2008${total} 0006 2008${uncorrected}`.replaceAll(" ", "");
  };
  fixture.counters[READ_BYTES] = 2 ** 40;
  fixture.counters[WRITTEN_BYTES] = 512;
  fixture.counters[VERIFIED_BYTES] = 4096;
  fixture.counters.set([3, 2, 1], READ_FAILURES);
  fixture.counters[ERRORS + 4] = 9;
  assert.equal(await fixture.ask(0x02), page("82", 512, 2));
  assert.equal(await fixture.ask(0x03), page("83", 2 ** 40, 3));
  assert.equal(await fixture.ask(0x05), page("85", 4096, 1));
  assert.equal(await fixture.ask(0x06), "8600000c00002008" + "0000000000000009");
  assert.equal(await fixture.ask(0xc3), page("83", 0, 0), "default values");
  assert.deepEqual(await fixture.run(fixture.session, select(0x02)), { kind: "good" });
  assert.equal(await fixture.ask(0x03), page("83", 0, 0));
  assert.equal(await fixture.ask(0x06), "8600000c00002008" + "0000000000000000");
});

test("parameters from the pointer on; beyond the last one, and into a list, it is refused", async () => {
  const fixture = onFile();
  assert.equal(await fixture.ask(0x0d, 0, 1), "8d000006" + "0001230200ff");
  assert.equal((await fixture.ask(0x0e, 0, 3)).slice(8), "0004230400000000");
  for (const [page, pointer] of [
    [0x0d, 2],
    [0x0e, 5],
    [0x2f, 1],
    [0x0c, 0xffff],
    [0x00, 1],
  ] as const) {
    assert.equal(await fixture.sense(fixture.session, sense(page, 0, pointer)), "5/24/0 cdb 5");
  }
  assert.equal(await fixture.sense(fixture.session, sense(0x0d, 0xff, 1)), "5/24/0 cdb 5");
});

test("every page control and allocation length is legal", async () => {
  const fixture = onFile();
  const whole = await fixture.ask(0x0d);
  for (const control of [0x00, 0x40, 0x80, 0xc0]) assert.equal(await fixture.ask(control | 0x0d), whole);
  for (const length of [0, 1, 3, 4, 9, 16, 17])
    assert.equal(await fixture.ask(0x0d, 0, 0, length), whole.slice(0, 2 * length));
});

test("pages and subpages that are not there are refused by both commands", async () => {
  const fixture = onFile();
  for (const page of [0x01, 0x04, 0x07, 0x10, 0x3f]) {
    assert.equal(await fixture.sense(fixture.session, sense(page)), "5/24/0 cdb 2.5");
    assert.equal(await fixture.sense(fixture.session, select(0x02, page)), "5/24/0 cdb 2.5");
  }
  for (const page of [0x00, 0x0d]) {
    assert.equal(await fixture.sense(fixture.session, sense(page, 1)), "5/24/0 cdb 3");
    assert.equal(await fixture.sense(fixture.session, select(0x02, page, 0, 0xfe)), "5/24/0 cdb 3");
  }
});

test("a file system that does not answer holds up no other command of the unit", async () => {
  const fixture = onFile();
  let answer = () => {};
  fixture.measuring = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const held = fixture.ask(0x0c);
  assert.equal(await fixture.ask(0x0d), "8d00000c" + "0000230200ff" + "0001230200ff");
  assert.deepEqual(await fixture.run(fixture.session, select(0x02, 0x19)), { kind: "good" });
  answer();
  assert.equal((await held).slice(0, 8), "8c000018");
});

test("LOG SELECT resets what can be reset, and sets nothing", async () => {
  const fixture = onFile();
  assert.deepEqual(await fixture.run(fixture.session, select(0, 0)), { kind: "good" });
  assert.deepEqual(await fixture.run(fixture.session, select(0x02, 0x0d)), { kind: "good" });
  assert.deepEqual(fixture.made, []);
  assert.equal(await fixture.sense(fixture.session, select(0x02, 0, 4), "00".repeat(4)), "5/24/0 cdb 1.1");
  assert.equal(await fixture.sense(fixture.session, select(0, 0, 10), "0d000006000023020020"), "5/26/0 list 0.5");
  for (const length of [1, 3])
    assert.equal(await fixture.sense(fixture.session, select(0, 0, length), "00".repeat(length)), "5/1a/0");
  assert.equal(await fixture.sense(fixture.session, select(0, 0, 0xffff), "0d00"), "5/1a/0");
});

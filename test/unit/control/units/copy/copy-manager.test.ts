/** The copy manager: how many copies run, what they are known by, what ends them; and that any list gets a legal answer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Session } from "../../../../../control/session-registry.js";
import type { ScsiAnswer } from "../../../../../dataplane/messages.js";
import fc from "../../../../support/fast-check.js";
import { copyAbort, copyIn, copyOut, cscd, listLid1, segment } from "../../../../support/third-party-copy.js";
import { CopyFixture, describeAnswer } from "./fixture.js";

const PER_SESSION_MAX = 32;
const BUSY = "status 8";
const INVALID_FIELD_IN_CDB = "5/2400";
const ABORTED = "a/0000";

function list(fixture: CopyFixture, id: number, flags = 0): Buffer {
  const cscds = [cscd(fixture.name(0)), cscd(fixture.name(1))];
  return listLid1(cscds, [segment({ source: 0, destination: 1, from: 0, to: 0, blocks: 8 })], { id, flags });
}

function copy(fixture: CopyFixture, session: Session, id: number, flags = 0): Promise<ScsiAnswer> {
  const parameters = list(fixture, id, flags);
  return fixture.run(session, copyOut(0x00, parameters.length), parameters);
}

test("a copy runs until its parts are through, and is known by its list identifier meanwhile", async () => {
  const fixture = new CopyFixture();
  fixture.holds = true;
  const [session, other] = [fixture.logIn("1"), fixture.logIn("2")];
  const answer = copy(fixture, session, 3);
  await setImmediate();
  const [{ extent, go }] = fixture.held as [(typeof fixture.held)[0]];
  assert.deepEqual(
    [extent.source?.name, extent.destination.name, extent.sourceOffset, extent.destinationOffset, extent.length],
    ["unit0", "unit1", 0, 0, 4096],
  );
  const status = async (who: Session, id = 3) => fixture.run(who, copyIn(0x00, id));
  const running = await status(session);
  assert.equal(running.kind === "good" && running.data, "0000000800000000" + "00000000");
  assert.equal(describeAnswer(await status(other)), INVALID_FIELD_IN_CDB);
  assert.equal(describeAnswer(await fixture.run(session, copyIn(0x04, 3))), INVALID_FIELD_IN_CDB);
  assert.equal(describeAnswer(await copy(fixture, session, 3)), "5/0016", "OPERATION IN PROGRESS");
  assert.equal(describeAnswer(await fixture.run(session, copyIn(0x00, 3), undefined, 1)), INVALID_FIELD_IN_CDB);
  go();
  assert.equal(describeAnswer(await answer), "good");
  const done = await status(session);
  assert.equal(done.kind === "good" && done.data, "0000000801000100" + "00001000");
});

test("no more run than are allowed, of one session and together", async () => {
  const fixture = new CopyFixture();
  fixture.holds = true;
  const session = fixture.logIn("1");
  const answers = Array.from({ length: PER_SESSION_MAX }, (_, id) => copy(fixture, session, id));
  await setImmediate();
  assert.equal(fixture.held.length, PER_SESSION_MAX);
  assert.equal(describeAnswer(await copy(fixture, session, 200)), BUSY);
  const others = Array.from({ length: 10 }, (_, i) => fixture.logIn(`${i + 2}`));
  let busy = 0;
  const more = others.flatMap((other) =>
    Array.from({ length: PER_SESSION_MAX }, (_, id) =>
      copy(fixture, other, id).then((answer) => {
        if (describeAnswer(answer) === BUSY) busy++;
      }),
    ),
  );
  await setImmediate();
  assert.equal(fixture.held.length, 255);
  assert.equal(busy, 11 * PER_SESSION_MAX - 255);
  for (const { go } of fixture.held) go();
  for (const answer of await Promise.all(answers)) assert.equal(describeAnswer(answer), "good");
  await Promise.all(more);
  fixture.holds = false;
  assert.equal(describeAnswer(await copy(fixture, session, 200)), "good");
});

test("of outcomes nobody asks for, the oldest are forgotten", async () => {
  const fixture = new CopyFixture();
  const session = fixture.logIn("1");
  const populate = (id: number) => {
    const parameters = Buffer.alloc(32);
    parameters.writeUInt16BE(30, 0);
    parameters.writeUInt16BE(16, 14);
    return fixture.run(session, copyOut(0x10, parameters.length, id), parameters);
  };
  // Many of the tokens of one initiator are too many, before the outcomes are.
  const answers: string[] = [];
  for (let id = 0; id < 300; id++) answers.push(describeAnswer(await populate(id)));
  assert.deepEqual(answers.slice(255, 257), ["good", "5/550d"]);
  for (let id = 1000; id < 1256; id++) {
    assert.equal(describeAnswer(await copy(fixture, session, id % 256)), "good");
  }
  assert.equal(describeAnswer(await fixture.run(session, copyIn(0x07, 255))), "good", "of LID1 255, the last");
  assert.equal(describeAnswer(await fixture.run(session, copyIn(0x07, 256))), INVALID_FIELD_IN_CDB);
});

test("what ends a copy", async () => {
  const fixture = new CopyFixture();
  fixture.holds = true;
  const [session, other] = [fixture.logIn("1"), fixture.logIn("2")];
  const [from, to] = fixture.records.map(({ unitIndex }) => unitIndex) as [number, number];
  const ends: Record<string, (who: Session) => unknown> = {
    "its abort": (who) => fixture.abort(who),
    "a reset of its source": () => fixture.copies.endOnUnit(from),
    "a reset of its destination": () => fixture.copies.endOnUnit(to),
    "PREEMPT AND ABORT": (who) => fixture.copies.endOfSessions(to, [who.sessionId]),
    "the end of its unit": () => fixture.copies.forgetUnit(to),
  };
  for (const [name, end] of Object.entries(ends)) {
    const answer = copy(fixture, session, 1);
    await setImmediate();
    await end(session);
    assert.equal(describeAnswer(await answer), ABORTED, name);
  }
  const unconcerned = copy(fixture, session, 2);
  await setImmediate();
  fixture.copies.endOfSessions(to, [other.sessionId]);
  fixture.copies.endOnUnit(99);
  fixture.copies.sessionClosed(other);
  await fixture.copies.settled([from, to]);
  assert.equal(describeAnswer(await fixture.run(other, copyAbort(2))), INVALID_FIELD_IN_CDB);
  fixture.copies.sessionClosed(session);
  await fixture.copies.settled([from]);
  assert.equal(describeAnswer(await unconcerned), ABORTED);
  assert.equal(describeAnswer(await fixture.run(session, copyIn(0x04, 2))), INVALID_FIELD_IN_CDB, "it is forgotten");
});

test("where its session sees the destination read-only now, a copy writes no further part, and is over before that is said", async () => {
  const fixture = new CopyFixture();
  fixture.holds = true;
  const [session, other] = [fixture.logIn("1"), fixture.logIn("2")];
  const answers = [copy(fixture, session, 1), copy(fixture, other, 2), copy(fixture, session, 3)];
  await setImmediate();
  fixture.readOnly.add("unit0");
  await fixture.copies.endRefused(session);
  fixture.readOnly.delete("unit0");
  fixture.readOnly.add("unit1");
  // Its part is over, and it looks whether it may go on.
  fixture.held[2]!.go();
  assert.equal(describeAnswer(await answers[2]!), "a/0d01", "THIRD PARTY DEVICE FAILURE");
  await fixture.copies.endRefused(session);
  assert.equal(describeAnswer(await answers[0]!), ABORTED);
  fixture.readOnly.clear();
  fixture.held[1]!.go();
  assert.equal(describeAnswer(await answers[1]!), "good", "the other session's is its own affair");
});

test("a stop ends all copies, and lets none begin", async () => {
  const fixture = new CopyFixture();
  fixture.holds = true;
  const session = fixture.logIn("1");
  const answers = [copy(fixture, session, 1), copy(fixture, session, 2)];
  await setImmediate();
  await fixture.copies.stop();
  for (const answer of answers) assert.equal(describeAnswer(await answer), ABORTED);
  assert.equal(describeAnswer(await copy(fixture, session, 3)), BUSY);
});

test("a store that fails: of EXTENDED COPY a third-party device, of WRITE USING TOKEN what it says itself", async () => {
  const fixture = new CopyFixture();
  fixture.holds = true;
  const session = fixture.logIn("1");
  const answer = copy(fixture, session, 1);
  await setImmediate();
  fixture.held[0]!.go({ side: "destination", errno: -5, offset: 512 });
  assert.deepEqual(await answer, {
    kind: "sense",
    senseKey: 0xa,
    asc: 0x0d,
    ascq: 0x01,
    senseKeySpecific: 0x80_0030,
    commandSpecificInformation: 0,
    forwarded: { side: "destination", status: 2, sense: "f00003000000010a000000000c0000000000" },
  });
  const parameters = Buffer.alloc(536 + 16);
  parameters.writeUInt16BE(parameters.length - 2, 0);
  parameters.set([0xff, 0xff, 0, 1, 0, 0, 1, 0xf8], 16);
  parameters.writeUInt16BE(16, 534);
  parameters.writeBigUInt64BE(100n, 536);
  parameters.writeUInt32BE(4, 544);
  for (const [errno, expected, information] of [
    [-5, "3/0c00", 102],
    [-28, "7/2707", undefined],
    [-30, "7/2700", undefined],
  ] as const) {
    const written = fixture.run(session, copyOut(0x11, parameters.length, 9), parameters, 1);
    await setImmediate();
    fixture.held.at(-1)!.go({ side: "destination", errno, offset: 102 * 512 });
    const failed = await written;
    assert.equal(describeAnswer(failed), expected);
    assert.equal(failed.kind === "sense" ? failed.information : NaN, information);
  }
});

/** What an answer to any list may be. */
function assertLegal(answer: ScsiAnswer): void {
  if (answer.kind === "good") return;
  assert.equal(answer.kind, "sense");
  if (answer.kind !== "sense") return;
  const { senseKey, asc } = answer;
  assert.ok(senseKey === 0x5 || senseKey === 0xa, describeAnswer(answer));
  assert.notEqual(asc, 0x44);
}

const bytes = fc.oneof(fc.constantFrom(0, 1, 2, 0xe4, 0xff), fc.integer({ min: 0, max: 255 }));

/** A list that is right but for some of its bytes, cut or made longer. */
function mutated(right: Buffer): fc.Arbitrary<Buffer> {
  return fc
    .tuple(
      fc.array(fc.tuple(fc.nat(right.length - 1), bytes), { maxLength: 6 }),
      fc.oneof(fc.constant(right.length), fc.nat(right.length + 40)),
    )
    .map(([changes, length]) => {
      const changed = Buffer.alloc(length);
      right.copy(changed);
      for (const [at, value] of changes) if (at < length) changed[at] = value;
      return changed;
    });
}

test("any parameter list gets a legal answer, and none fails", async () => {
  const fixture = new CopyFixture();
  const session = fixture.logIn("1");
  const token = Buffer.alloc(536 + 32);
  token.writeUInt16BE(token.length - 2, 0);
  token.set([0xff, 0xff, 0, 1, 0, 0, 1, 0xf8], 16);
  token.writeUInt16BE(32, 534);
  token.writeUInt32BE(4, 544);
  token.writeUInt32BE(99, 536 + 16 + 4);
  const populate = Buffer.alloc(16 + 32);
  populate.writeUInt16BE(populate.length - 2, 0);
  populate.writeUInt16BE(32, 14);
  populate.writeUInt32BE(50, 16 + 16 + 4);
  const lid4 = Buffer.alloc(48);
  lid4.set([1, 0, 0, 0x20]);
  lid4[16] = 0xff;
  lid4[43] = 64;
  lid4[45] = 28;
  const right: [number, Buffer][] = [
    [0x00, list(fixture, 1)],
    [0x01, Buffer.concat([lid4, list(fixture, 1).subarray(16)])],
    [0x10, populate],
    [0x11, token],
  ];
  for (const [action, parameters] of right) {
    assert.equal(describeAnswer(await fixture.run(session, copyOut(action, parameters.length, 1), parameters)), "good");
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(mutated(parameters), fc.array(bytes, { maxLength: 600 }).map(Buffer.from)),
        async (sent) => {
          const answer = await fixture.run(session, copyOut(action, sent.length, 1), sent);
          // Tokens are used up at last.
          if (describeAnswer(answer) !== "5/550d") assertLegal(answer);
          for (const told of [0x00, 0x01, 0x03, 0x04, 0x05, 0x07, 0x08]) {
            assertLegal(await fixture.run(session, copyIn(told, 1), sent));
          }
        },
      ),
      { numRuns: 300 },
    );
  }
  assert.deepEqual(fixture.log.seen.records, []);
});

/** A copy touches what its initiator may touch itself: no way round LUN masking, read-only mappings, reservations, or CHAP. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { read16, testUnitReady, write16 } from "../../support/cdb.js";
import { type ChapOptions, RawInitiator } from "../../support/raw-initiator.js";
import { CONFLICT, GOOD, outcomeOf } from "../../support/sense.js";
import { type Places, RunningTarget } from "../../support/target.js";
import {
  copyIn,
  cscd,
  extendedCopy,
  listLid1,
  nameOf,
  segment,
  tokenOf,
  writeUsingToken,
  writeUsingTokenList,
} from "../../support/third-party-copy.js";
import { Undo } from "../../support/undo.js";

const FIRST = "iqn.2026-11.io.ringlun:first";
const SECOND = "iqn.2026-11.io.ringlun:second";
const GUARDED = "iqn.2026-11.io.ringlun:guarded";
const HOST = "iqn.2026-11.io.ringlun:host";
const RIVAL = "iqn.2026-11.io.ringlun:rival";
const ALICE = { user: "alice", secret: "alice's very own secret" } as const;
const BLOCK_BYTES = 512;

const NOT_REACHABLE = "a/0d02";
const DEVICE_FAILURE = "a/0d01";
const TOKEN_UNKNOWN = "5/2304";
const WRITE_PROTECTED = "7/2700";

/** `more`: LUNs of the host. */
function config({ port, port2 }: Places, more = ", 4: spare"): string {
  return `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"] }
  - { tag: 2, portals: ["127.0.0.1:${port2}"] }
targets:
  - name: "${FIRST}"
    portalGroups: [1, 2]
    initiators:
      - { name: "${HOST}", luns: { 0: shared, 1: own, 2: { unit: archive, readOnly: true }, 3: sleeping${more} } }
      - { name: "${RIVAL}", luns: { 0: shared, 5: private } }
  - { name: "${SECOND}", portalGroups: [1], luns: { 0: far } }
  - { name: "${GUARDED}", portalGroups: [1], luns: { 0: vault }, auth: { chap: [{ user: "${ALICE.user}", secret: "${ALICE.secret}" }] } }
units:
${["shared", "own", "archive", "private", "far", "vault", "spare"].map((name) => `  ${name}: { file: ./${name}.img, size: 1MiB, cache: writeback }`).join("\n")}
  sleeping: { file: ./sleeping.img, size: 1MiB, access: { 1: standby } }
workers: 2
`;
}

describe("what a copy may touch", () => {
  const undo = new Undo({ after });
  let target: RunningTarget;
  let host: RawInitiator;
  let rival: RawInitiator;
  const names = new Map<string, Buffer>();

  async function logIn(initiatorName: string, targetName: string, luns: number[], chap?: ChapOptions, group = 1) {
    const initiator = await RawInitiator.connect(group === 1 ? target.places.port : target.places.port2);
    undo.add(() => initiator.destroy());
    await initiator.login({ targetName, initiatorName, ...(chap === undefined ? {} : { chap }) });
    for (const lun of luns) await initiator.command({ cdb: testUnitReady(), lun });
    return initiator;
  }

  before(async () => {
    target = await RunningTarget.start({ config: (places) => config(places) });
    undo.add(() => target.stop());
    host = await logIn(HOST, FIRST, [0, 1, 2]);
    rival = await logIn(RIVAL, FIRST, [0, 5]);
    names.set("shared", await nameOf(host, 0));
    names.set("own", await nameOf(host, 1));
    names.set("archive", await nameOf(host, 2));
    names.set("sleeping", await nameOf(host, 3));
    names.set("spare", await nameOf(host, 4));
    names.set("private", await nameOf(rival, 5));
    for (const [lun, fill] of [
      [0, 0x10],
      [1, 0x11],
    ] as const)
      await fillFirst(host, lun, fill);
    await fillFirst(rival, 5, 0x15);
  });

  const fillFirst = (initiator: RawInitiator, lun: number, fill: number) =>
    initiator.good({ cdb: write16(0, 1), write: Buffer.alloc(BLOCK_BYTES, fill), lun });
  const first = async (initiator: RawInitiator, lun: number) =>
    (await initiator.good({ cdb: read16(0, 1), read: BLOCK_BYTES, lun }))[0]!;

  async function copy(initiator: RawInitiator, from: string, to: string, lun = 0): Promise<string> {
    const one = segment({ source: 0, destination: 1, from: 0, to: 0, blocks: 1 });
    const list = listLid1([cscd(names.get(from)!), cscd(names.get(to)!)], [one], { flags: 0x18, id: 0 });
    return outcomeOf(await extendedCopy(initiator, list, lun));
  }

  it("no unit of others, neither from nor to it", async () => {
    assert.equal(await copy(host, "private", "own"), NOT_REACHABLE);
    assert.equal(await copy(host, "own", "private"), NOT_REACHABLE);
    assert.equal(await first(host, 1), 0x11);
    assert.equal(await first(rival, 5), 0x15);
    assert.equal(await copy(rival, "private", "shared"), GOOD, "its own initiator may");
    assert.equal(await first(host, 0), 0x15);
    await fillFirst(host, 0, 0x10);
  });

  it("no token of a unit of others", async () => {
    const token = await tokenOf(rival, [{ lba: 0, blocks: 1 }], { lun: 5 });
    const list = writeUsingTokenList(token, [{ lba: 0, blocks: 1 }]);
    assert.equal(outcomeOf(await writeUsingToken(host, list, 1, 1)), TOKEN_UNKNOWN);
    assert.equal(await first(host, 1), 0x11);
    assert.equal((await host.good({ cdb: copyIn(0x08, 0), read: 1024 })).length, 8, "nor does anybody tell of it");
    assert.equal((await rival.good({ cdb: copyIn(0x08, 0), read: 1024 })).length, 8 + 96);
    assert.equal(outcomeOf(await writeUsingToken(rival, list, 1, 0)), GOOD);
    await fillFirst(host, 0, 0x10);
  });

  it("nothing is written through a read-only mapping", async () => {
    assert.equal(await copy(host, "own", "archive"), DEVICE_FAILURE);
    assert.equal(await first(host, 2), 0);
    assert.equal(await copy(host, "archive", "own", 2), GOOD, "it may be read, and be sent the command");
    assert.equal(await first(host, 1), 0);
    await fillFirst(host, 1, 0x11);
    const token = await tokenOf(host, [{ lba: 0, blocks: 1 }], { lun: 1 });
    const list = writeUsingTokenList(token, [{ lba: 0, blocks: 1 }]);
    assert.equal(outcomeOf(await writeUsingToken(host, list, 1, 2)), WRITE_PROTECTED);
  });

  it("to a unit of another target, if the initiator is logged in there", async () => {
    const before = await logIn(RIVAL, SECOND, [0]);
    names.set("far", await nameOf(before, 0));
    assert.equal(await copy(host, "own", "far"), NOT_REACHABLE, "somebody else's session does not help");
    await before.logout();
    const there = await logIn(HOST, SECOND, [0]);
    assert.equal(await copy(host, "own", "far"), GOOD);
    assert.equal(await first(there, 0), 0x11);
    assert.equal(await copy(there, "own", "far"), GOOD, "from there as well");
    await there.logout();
    // Its shard has answered; that the session is gone reaches the others a moment later.
    const deadline = performance.now() + 20_000;
    while ((await copy(host, "own", "far")) !== NOT_REACHABLE)
      assert.ok(performance.now() < deadline, "the session is gone");
  });

  it("not by another way than that of the session", async () => {
    const aside = await logIn(HOST, FIRST, [0, 1, 2], undefined, 2);
    const there = await logIn(HOST, SECOND, [0]);
    assert.equal(await copy(aside, "own", "far"), NOT_REACHABLE, "the second portal group has no such target");
    assert.equal(await copy(host, "own", "far"), GOOD);
    await there.logout();
    await aside.logout();
  });

  it("not with a name alone where others must prove themselves", async () => {
    const vault = await logIn(HOST, GUARDED, [0], ALICE);
    names.set("vault", await nameOf(vault, 0));
    await fillFirst(vault, 0, 0x55);
    assert.equal(await copy(host, "vault", "own"), NOT_REACHABLE);
    assert.equal(await copy(host, "own", "vault"), NOT_REACHABLE);
    assert.equal(await first(vault, 0), 0x55);
    assert.equal(await copy(vault, "vault", "own"), GOOD, "who has proved more may do what needs less");
    await fillFirst(host, 1, 0x11);
    await vault.logout();
  });

  const reserveOut = (action: number, type: number, list: Buffer) => {
    const cdb = Buffer.from([0x5f, action, type, 0, 0, 0, 0, 0, list.length, 0]);
    return { cdb, write: list };
  };
  const keys = (key: number, actionKey: number) => {
    const list = Buffer.alloc(24);
    list.writeBigUInt64BE(BigInt(key), 0);
    list.writeBigUInt64BE(BigInt(actionKey), 8);
    return list;
  };

  it("not what its portal group does not serve now", async () => {
    assert.equal(await copy(host, "sleeping", "own"), DEVICE_FAILURE);
    assert.equal(await copy(host, "own", "sleeping"), DEVICE_FAILURE);
  });

  it("reservations hold for source and destination, wherever the command is sent to", async () => {
    const WRITE_EXCLUSIVE = 1;
    const EXCLUSIVE_ACCESS = 3;
    const token = await tokenOf(host, [{ lba: 0, blocks: 1 }], { lun: 0, timeoutS: 600 });
    await rival.good(reserveOut(0, 0, keys(0, 7)));
    await rival.good(reserveOut(1, WRITE_EXCLUSIVE, keys(7, 0)));
    assert.equal(await copy(host, "own", "shared", 1), DEVICE_FAILURE);
    assert.equal(await copy(host, "own", "shared", 0), CONFLICT, "sent to the unit itself");
    assert.equal(await first(rival, 0), 0x10);
    assert.equal(await copy(host, "shared", "own", 1), GOOD, "it may be read");
    assert.equal(await copy(rival, "private", "shared", 5), GOOD, "the holder may");
    await fillFirst(rival, 0, 0x10);
    await rival.good(reserveOut(2, WRITE_EXCLUSIVE, keys(7, 0)));
    await rival.good(reserveOut(1, EXCLUSIVE_ACCESS, keys(7, 0)));
    await fillFirst(host, 1, 0x11);
    assert.equal(await copy(host, "shared", "own", 1), DEVICE_FAILURE);
    const list = writeUsingTokenList(token, [{ lba: 0, blocks: 1 }]);
    assert.equal(outcomeOf(await writeUsingToken(host, list, 1, 1)), DEVICE_FAILURE);
    assert.equal(await first(host, 1), 0x11);
    await rival.good(reserveOut(3, 0, keys(7, 0)));
    assert.equal(await copy(host, "shared", "own", 1), GOOD);
    await fillFirst(host, 1, 0x11);
    await rival.good({ cdb: Buffer.from([0x16, 0, 0, 0, 0, 0]) });
    assert.equal(await copy(host, "shared", "own", 1), DEVICE_FAILURE, "RESERVE (6)");
    await rival.good({ cdb: Buffer.from([0x17, 0, 0, 0, 0, 0]) });
    assert.equal(await copy(host, "shared", "own", 1), GOOD);
  });

  it("not what is taken from the session while it goes on", async () => {
    const token = await tokenOf(host, [{ lba: 0, blocks: 1 }], { lun: 4 });
    assert.equal(await copy(host, "own", "spare"), GOOD);
    await target.configure(config(target.places, ""));
    target.reload();
    await target.waitForLog(/configuration reloaded/);
    // REPORTED LUNS DATA HAS CHANGED.
    for (const lun of [0, 1]) await host.command({ cdb: testUnitReady(), lun });
    assert.equal(await copy(host, "own", "spare"), NOT_REACHABLE);
    const list = writeUsingTokenList(token, [{ lba: 0, blocks: 1 }]);
    assert.equal(outcomeOf(await writeUsingToken(host, list, 1, 1)), TOKEN_UNKNOWN);
    assert.equal(await copy(host, "own", "shared"), GOOD, "the session goes on");
  });
});

/** Portal group tag 0 is a tag like any other (RFC 7143 section 4.4.1), but 0 is no relative target port identifier (SPC-5). */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { GOOD } from "../../support/sense.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";
import { EXCLUSIVE_ACCESS, outCdb, READ_FULL_STATUS, REGISTER_AND_MOVE, RESERVE } from "../reservations/fixture.js";
import { OPTIMIZED, Path, STANDBY } from "./fixture.js";

const PORT_OF_TAG_0 = 0xffff;

describe("a target in the portal groups 0 and 2", () => {
  let target: RunningTarget;
  const paths: Path[] = [];
  before(async () => {
    target = await RunningTarget.start({
      config: ({ port, port2 }) => `
portalGroups:
  - { tag: 0, portals: ["127.0.0.1:${port}"] }
  - { tag: 2, portals: ["127.0.0.1:${port2}"] }
targets:
  - { name: ${TARGET_NAME}, portalGroups: [0, 2], luns: { 0: disk } }
units:
  disk: { file: ./disk.img, size: 64MiB, cache: writeback }
`,
    });
  });
  after(async () => {
    for (const path of paths) path.drop();
    await target.stop();
  });

  /** `which`: the first or the second portal. */
  async function path(name: string, which: 1 | 2): Promise<Path> {
    const made = new Path(() => target, name, 1, which);
    paths.push(made);
    return made.logIn();
  }

  it("page 83: relative target port ffffh, target port group 0, and a name with the tag", async () => {
    const page = (await (await path("a", 1)).inquiry(0x83)).toString("hex");
    assert.ok(page.includes(`51940004${"0000ffff"}51950004${"00000000"}`));
    assert.ok(page.includes(Buffer.from(`${TARGET_NAME},t,0x0000`).toString("hex")));
    const other = (await (await path("b", 2)).inquiry(0x83)).toString("hex");
    assert.ok(other.includes(`51940004${"00000002"}51950004${"00000002"}`));
  });

  it("page 88 and REPORT TARGET PORT GROUPS agree; SET TARGET PORT GROUPS takes the group by its tag", async () => {
    const host = await path("a", 1);
    const ports: number[] = [];
    const page = await host.inquiry(0x88);
    for (let at = 4; at < page.length; at += 12 + page.readUInt16BE(at + 10)) ports.push(page.readUInt16BE(at + 2));
    assert.deepEqual(ports, [PORT_OF_TAG_0, 2]);
    assert.deepEqual(
      (await host.groups()).map((group) => [group.tag, group.ports]),
      [
        [0, [PORT_OF_TAG_0]],
        [2, [2]],
      ],
    );
    assert.equal(await host.set([0, STANDBY]), GOOD);
    assert.equal(await host.states(), "0: 2, 2: 0");
    assert.equal(await host.set([0, OPTIMIZED]), GOOD);
  });

  it("SET PRIORITY and REPORT PRIORITY call the port so", async () => {
    const host = await path("a", 1);
    const set = (port: number) => {
      const write = Buffer.concat([Buffer.alloc(8), host.transportId]);
      write[0] = 5;
      write.writeUInt16BE(port, 2);
      write.writeUInt16BE(host.transportId.length, 6);
      const cdb = Buffer.from([0xa4, 0x0e, 0x40, 0, 0, 0, 0, 0, 0, write.length, 0, 0]);
      return host.run({ cdb, write });
    };
    assert.equal(await set(0), "5/2600");
    assert.equal(await set(PORT_OF_TAG_0), GOOD);
    // PRIORITY CHANGED.
    assert.deepEqual(await host.attentions(), ["6/2a08"]);
    const cdb = Buffer.from([0xa3, 0x0e, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    assert.equal((await host.initiator.good({ cdb, read: 256 })).readUInt16BE(4 + 2), PORT_OF_TAG_0);
  });

  it("READ FULL STATUS and REGISTER AND MOVE call the port so", async () => {
    const [from, to] = [await path("from", 2), await path("to", 1)];
    await from.register(1);
    await from.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS });
    const move = (port: number) => {
      const list = Buffer.concat([Buffer.alloc(24), to.transportId]);
      list.writeBigUInt64BE(1n, 0);
      list.writeBigUInt64BE(8n, 8);
      list.writeUInt16BE(port, 18);
      list.writeUInt32BE(to.transportId.length, 20);
      return from.run({ cdb: outCdb(REGISTER_AND_MOVE, 0, list.length), write: list });
    };
    assert.equal(await move(0), "5/2600");
    assert.equal(await move(PORT_OF_TAG_0), GOOD);
    assert.equal(await to.write(), GOOD);
    const status = await to.in(READ_FULL_STATUS);
    const registered: [number, number][] = [];
    for (let at = 8; at < status.length; at += 24 + status.readUInt32BE(at + 20)) {
      registered.push([Number(status.readBigUInt64BE(at)), status.readUInt16BE(at + 18)]);
    }
    assert.deepEqual(registered.sort(), [
      [1, 2],
      [8, PORT_OF_TAG_0],
    ]);
  });
});

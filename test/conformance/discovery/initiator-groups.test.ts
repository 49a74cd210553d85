/** Initiators by name, by pattern and in groups: what each of them is told of, and what it sees, through which portals. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { reportLuns } from "../../support/cdb.js";
import { LoginRefusedError, RawInitiator } from "../../support/raw-initiator.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";

const STATUS_AUTHORIZATION_FAILURE = 0x0202;

const config = ({ port, port2 }: Places) => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"] }
  - { tag: 2, portals: ["127.0.0.1:${port2}"] }
initiatorGroups:
  cluster: [iqn.1993-08.org.debian:01:a, iqn.1993-08.org.debian:01:b]
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1, 2]
    luns: { 0: disk }
    initiators:
      - { name: "iqn.1998-01.com.vmware:esx?", luns: { 0: disk, 1: disk } }
      - { name: iqn.1998-01.com.vmware:esx2, luns: { 7: disk } }
      - { group: cluster, portalGroups: [2] }
units:
  disk: { null: true, size: 1GiB }
workers: 1
`;

let target: RunningTarget;
before(async () => {
  target = await RunningTarget.start({ config });
});
after(() => target.stop());

/** LUNs that the initiator sees through the portal group; or the status with which it is refused. */
async function seen(initiatorName: string, portalGroup: number): Promise<number[] | number> {
  const { port, port2 } = target.places;
  const initiator = await RawInitiator.connect(portalGroup === 1 ? port : port2);
  try {
    await initiator.login({ targetName: TARGET_NAME, initiatorName });
    const data = await initiator.good({ cdb: reportLuns(), read: 4096 });
    return Array.from({ length: data.readUInt32BE(0) / 8 }, (_, index) => data.readUInt16BE(8 + 8 * index));
  } catch (error) {
    if (error instanceof LoginRefusedError) return error.status;
    throw error;
  } finally {
    initiator.destroy();
  }
}

/** Portal groups through which the initiator is told that it reaches the target. */
async function told(initiatorName: string): Promise<string[]> {
  const initiator = await RawInitiator.connect(target.port);
  await initiator.login({ initiatorName, sessionType: "Discovery" });
  const addresses = (await initiator.text({ SendTargets: "All" })).get("TargetAddress");
  initiator.destroy();
  return (addresses?.split("\n") ?? []).map((address) => address.split(",")[1]!);
}

test("a pattern lets in those whose names fit, a name of its own counts before it", async () => {
  assert.deepEqual(await seen("iqn.1998-01.com.vmware:esx1", 1), [0, 1]);
  assert.deepEqual(await seen("iqn.1998-01.com.vmware:ESX1", 2), [0, 1]);
  assert.deepEqual(await seen("iqn.1998-01.com.vmware:esx2", 1), [7]);
  assert.deepEqual(await told("iqn.1998-01.com.vmware:esx1"), ["1", "2"]);
});

test("a group lets in all in it, through the portal groups that it names and no others", async () => {
  for (const name of ["iqn.1993-08.org.debian:01:a", "iqn.1993-08.org.debian:01:b"]) {
    assert.deepEqual(await seen(name, 2), [0]);
    assert.equal(await seen(name, 1), STATUS_AUTHORIZATION_FAILURE);
    assert.deepEqual(await told(name), ["2"]);
  }
});

test("nobody else is let in, or told of anything", async () => {
  for (const name of ["iqn.1998-01.com.vmware:esx10", "iqn.1998-01.com.vmware:esx", "iqn.1993-08.org.debian:01:c"]) {
    assert.equal(await seen(name, 1), STATUS_AUTHORIZATION_FAILURE);
    assert.deepEqual(await told(name), []);
  }
});

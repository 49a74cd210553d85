import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ListeningPortal, sendTargetsValue, targetRecords } from "../../../control/discovery.js";

const VM = { name: "iqn.2026-11.io.ringlun:vm", portalGroups: [1, 2] };
const ISO = { name: "iqn.2026-11.io.ringlun:iso", portalGroups: [2] };

function portal(tag: number, host: string, port = 3260): ListeningPortal {
  return { tag, address: { host, port } };
}

function records(targets: (typeof VM)[], portals: ListeningPortal[], reachedBy = "192.0.2.1"): string[] {
  return targetRecords(targets, portals, reachedBy).split("\0").slice(0, -1);
}

describe("target records", () => {
  test("each target has all addresses of its portal groups", () => {
    assert.deepEqual(
      records([VM, ISO], [portal(1, "192.0.2.1"), portal(2, "192.0.2.2", 3261), portal(3, "192.0.2.3")]),
      [
        `TargetName=${VM.name}`,
        "TargetAddress=192.0.2.1:3260,1",
        "TargetAddress=192.0.2.2:3261,2",
        `TargetName=${ISO.name}`,
        "TargetAddress=192.0.2.2:3261,2",
      ],
    );
  });

  test("IPv6 stands in brackets, without its zone; host names stay names", () => {
    assert.deepEqual(records([ISO], [portal(2, "2001:db8::1"), portal(2, "fe80::1%eth0"), portal(2, "san.example")]), [
      `TargetName=${ISO.name}`,
      "TargetAddress=[2001:db8::1]:3260,2",
      "TargetAddress=[fe80::1]:3260,2",
      "TargetAddress=san.example:3260,2",
    ]);
  });

  test("a wildcard is answered with the address that the initiator has used, if it is of that family", () => {
    const both = [portal(2, "0.0.0.0"), portal(2, "::", 3261)];
    assert.deepEqual(records([ISO], both, "192.0.2.7").slice(1), ["TargetAddress=192.0.2.7:3260,2"]);
    assert.deepEqual(records([ISO], both, "2001:db8::7").slice(1), ["TargetAddress=[2001:db8::7]:3261,2"]);
    assert.deepEqual(records([ISO], both, "fe80::7%eth0").slice(1), ["TargetAddress=[fe80::7]:3261,2"]);
  });

  test("a loopback address is not for other machines, to which it would mean themselves", () => {
    const portals = ["127.0.0.1", "::1", "localhost", "192.0.2.1"].map((host) => portal(2, host));
    assert.deepEqual(records([ISO], portals, "192.0.2.1").slice(1), ["TargetAddress=192.0.2.1:3260,2"]);
    for (const reachedBy of ["127.0.0.1", "127.0.0.2", "::1"]) {
      assert.equal(records([ISO], portals, reachedBy).length, 5, reachedBy);
    }
  });

  test("an address that two portals come to is said once", () => {
    assert.deepEqual(records([ISO], [portal(2, "0.0.0.0"), portal(2, "192.0.2.1")]).slice(1), [
      "TargetAddress=192.0.2.1:3260,2",
    ]);
  });

  test("without a portal only the name is left; without a target, nothing", () => {
    assert.deepEqual(records([ISO], []), [`TargetName=${ISO.name}`]);
    assert.equal(targetRecords([], [portal(1, "192.0.2.1")], "192.0.2.1"), "");
  });

  test("a name beyond ASCII is UTF-8, a byte a character", () => {
    const text = targetRecords([{ name: "iqn.2026-11.io.ringlun:größe", portalGroups: [] }], [], "");
    assert.equal(Buffer.from(text, "latin1").toString(), "TargetName=iqn.2026-11.io.ringlun:größe\0");
  });
});

describe("the request", () => {
  test("holds SendTargets and nothing else", () => {
    assert.equal(sendTargetsValue("SendTargets=All\0"), "All");
    assert.equal(sendTargetsValue("SendTargets=\0"), "");
    for (const text of ["", "SendTargets=All", "SendTargets\0", "SendTargets=All\0X=1\0", "sendtargets=All\0", "\0"]) {
      assert.equal(sendTargetsValue(text), undefined, JSON.stringify(text));
    }
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AccessStateName, Configuration, RedirectConfiguration } from "../../../control/config/schema.js";
import type { ListeningPortal } from "../../../control/discovery.js";
import type { Entrance } from "../../../control/entrance.js";
import { REDIRECTION_MEMORY_MS } from "../../../control/limits.js";
import type { TargetQuery } from "../../../control/login/context.js";
import { Redirections, type Rerouting } from "../../../control/redirection.js";
import { SessionRegistry } from "../../../control/session-registry.js";
import { AGREEMENT, configuration, DETAILS, INITIATOR, portalGroup, TARGET, target } from "./support/fixtures.js";

const BALANCE: RedirectConfiguration = { to: null, permanent: false, beforeAuthentication: false };
const ONE = portal(1, "192.0.2.1");
const TWO = portal(2, "192.0.2.2");
const THREE = portal(3, "192.0.2.3");
const QUERY: TargetQuery = { initiatorName: INITIATOR, targetName: TARGET, isid: "800000000001", tsih: 0, cid: 0 };

function portal(tag: number, host: string, port = 3260): ListeningPortal {
  return { tag, address: { host, port } };
}

function staticTo(...hosts: string[]): RedirectConfiguration {
  return { ...BALANCE, to: hosts.map((host) => ({ host, port: 3260 })) };
}

interface Setting {
  readonly portals?: readonly ListeningPortal[];
  /** Of the target. */
  readonly redirect?: RedirectConfiguration | null;
  /** Of portal groups, from the first on. */
  readonly groups?: readonly (RedirectConfiguration | null)[];
  readonly states?: readonly AccessStateName[];
  /** What the initiator may reach. */
  readonly reaches?: readonly number[];
}

class Scene {
  readonly registry = new SessionRegistry(0);
  readonly drained = new Set<ListeningPortal | string>();
  nowMs = 1000;
  readonly #setting: Setting;
  readonly #redirections: Redirections;
  readonly #target;
  #isid = 100;

  constructor(setting: Setting) {
    this.#setting = setting;
    const { portals = [ONE, TWO, THREE], groups = [], states = [], redirect = null } = setting;
    this.#target = target({ portalGroups: [1, 2, 3], redirect });
    const inForce: Configuration = configuration("/nowhere", {
      portalGroups: [1, 2, 3].map((tag) =>
        portalGroup({
          tag,
          access: { state: states[tag - 1] ?? "optimized", preferred: false },
          redirect: groups[tag - 1] ?? null,
        }),
      ),
      targets: [this.#target],
    });
    this.#redirections = new Redirections({
      registry: this.registry,
      outOfService: {
        hasPortal: (one) => this.drained.has(one),
        hasTarget: (name) => this.drained.has(name),
      },
      configuration: () => inForce,
      portals: () => portals,
      nowMs: () => this.nowMs,
    });
  }

  judge(at: ListeningPortal, changes: Partial<TargetQuery> = {}, from = at.address.host): Rerouting | undefined {
    const entrance: Entrance = { portal: at, host: from, port: at.address.port };
    const grant = {
      ...{ target: this.#target, auth: null, luns: [], limits: null },
      portalGroups: this.#setting.reaches ?? [1, 2, 3],
    };
    return this.#redirections.judge({ ...QUERY, ...changes }, entrance, grant);
  }

  /** Where the login is sent; undefined: nowhere. */
  address(at: ListeningPortal, changes: Partial<TargetQuery> = {}, from?: string): string | undefined {
    const rerouting = this.judge(at, changes, from);
    return rerouting?.kind === "redirect" ? rerouting.address : rerouting?.kind;
  }

  /** A session that has come through the portal. */
  session({ tag, address }: ListeningPortal, isid = String(this.#isid++).padStart(12, "0")): void {
    const identity = { initiatorName: INITIATOR, isid, targetName: TARGET, portalGroup: tag };
    const { sessionId } = this.registry.open(identity, 0, AGREEMENT, []);
    this.registry.addConnection(sessionId, 0, { ...DETAILS, portal: `${address.host}:${address.port}` });
  }
}

describe("a redirection to an address", () => {
  test("is the target's, or else its portal group's", () => {
    const scene = new Scene({ groups: [null, staticTo("192.0.2.8")] });
    assert.equal(scene.judge(ONE), undefined);
    assert.deepEqual(scene.judge(TWO), {
      kind: "redirect",
      address: "192.0.2.8:3260",
      permanent: false,
      beforeAuthentication: false,
    });
    const own = new Scene({ redirect: staticTo("192.0.2.9"), groups: [null, staticTo("192.0.2.8")] });
    for (const at of [ONE, TWO]) assert.equal(own.address(at), "192.0.2.9:3260");
  });

  test("of several is the first of the initiator's address family, or a host name", () => {
    const six = portal(1, "2001:db8::1");
    const redirect = staticTo("2001:db8::9", "192.0.2.9", "192.0.2.10");
    assert.equal(new Scene({ redirect }).address(ONE), "192.0.2.9:3260");
    assert.equal(new Scene({ redirect, portals: [six] }).address(six), "[2001:db8::9]:3260");
    assert.equal(new Scene({ redirect: staticTo("2001:db8::9", "san.example") }).address(ONE), "san.example:3260");
    // Better than none.
    assert.equal(new Scene({ redirect: staticTo("2001:db8::9") }).address(ONE), "[2001:db8::9]:3260");
  });

  test("is told without the zone of a link, which is this machine's name for it", () => {
    const six = portal(1, "fe80::1%eth0");
    assert.equal(new Scene({ redirect: staticTo("fe80::9%eth0"), portals: [six] }).address(six), "[fe80::9]:3260");
  });

  test("is not for who is there already", () => {
    const all = portal(1, "0.0.0.0");
    const scene = new Scene({ redirect: staticTo("192.0.2.9", "192.0.2.10"), portals: [all] });
    for (const host of ["192.0.2.9", "192.0.2.10"]) assert.equal(scene.address(all, {}, host), undefined);
    assert.equal(scene.address(all, {}, "192.0.2.11"), "192.0.2.9:3260");
  });

  test("of ours at which the initiator would not find the target, or nobody, is none", () => {
    const groups = [staticTo("192.0.2.2", "192.0.2.3")];
    assert.equal(new Scene({ groups, reaches: [1, 3] }).address(ONE), "192.0.2.3:3260");
    assert.equal(new Scene({ groups, reaches: [1] }).address(ONE), undefined);
    const scene = new Scene({ groups });
    scene.drained.add(TWO);
    assert.equal(scene.address(ONE), "192.0.2.3:3260");
  });

  test("is not for a connection that joins a session", () => {
    assert.equal(new Scene({ redirect: staticTo("192.0.2.9") }).address(ONE, { tsih: 5 }), undefined);
  });
});

describe("a balance of sessions", () => {
  test("sends to the portal with the fewest, and nobody who is at one that has no more", () => {
    const scene = new Scene({ redirect: BALANCE });
    for (const at of [ONE, TWO, THREE]) assert.equal(scene.address(at), undefined);
    scene.session(ONE);
    scene.session(TWO);
    for (const at of [ONE, TWO]) assert.equal(scene.address(at), "192.0.2.3:3260");
    assert.equal(scene.address(THREE), undefined);
  });

  test("keeps to what the initiator may reach, to its address family, and to the best access state", () => {
    const six = portal(3, "2001:db8::3");
    for (const setting of [
      { reaches: [1, 2] },
      { portals: [ONE, TWO, six] },
      { states: ["optimized", "optimized", "non-optimized"] as const },
      { portals: [ONE, TWO, portal(3, "127.0.0.1")] },
    ]) {
      const scene = new Scene({ redirect: BALANCE, ...setting });
      scene.session(ONE);
      scene.session(ONE);
      scene.session(TWO);
      assert.equal(scene.address(ONE), "192.0.2.2:3260", JSON.stringify(setting));
    }
  });

  test("tells of a wildcard by the address that the initiator has used", () => {
    const all = [portal(1, "0.0.0.0", 3260), portal(2, "0.0.0.0", 3261)] as const;
    const scene = new Scene({ redirect: BALANCE, portals: all });
    scene.session(all[0]);
    assert.equal(scene.address(all[0], {}, "198.51.100.4"), "198.51.100.4:3261");
  });

  test("counts whom it has sent already, and keeps its word to them when they come", () => {
    const scene = new Scene({ redirect: BALANCE });
    for (let i = 0; i < 3; i++) scene.session(ONE);
    const sent = ["a", "b", "c", "d"].map((isid) => scene.address(ONE, { isid }));
    assert.deepEqual(sent, ["192.0.2.2:3260", "192.0.2.3:3260", "192.0.2.2:3260", "192.0.2.3:3260"]);
    for (let i = 0; i < 9; i++) scene.session(TWO);
    // The best place by now is another one.
    assert.equal(scene.address(TWO, { isid: "a" }), undefined);
    assert.equal(scene.address(TWO, { isid: "z" }), "192.0.2.3:3260");
    scene.nowMs += REDIRECTION_MEMORY_MS + 1;
    assert.equal(scene.address(TWO, { isid: "a" }), "192.0.2.3:3260");
  });

  test("brings an initiator back to where its session is, so that this is reinstated", () => {
    const scene = new Scene({ redirect: BALANCE });
    scene.session(TWO, QUERY.isid);
    for (let i = 0; i < 5; i++) scene.session(TWO);
    assert.equal(scene.address(TWO), undefined);
    assert.equal(scene.address(ONE), "192.0.2.2:3260");
  });

  test("is not for a connection that joins a session", () => {
    const scene = new Scene({ redirect: BALANCE });
    for (let i = 0; i < 5; i++) scene.session(ONE);
    assert.equal(scene.address(ONE, { tsih: 5 }), undefined);
  });
});

describe("a portal that is drained", () => {
  test("sends newcomers to the one with the fewest sessions that they may reach", () => {
    const scene = new Scene({});
    scene.drained.add(ONE);
    scene.session(TWO);
    assert.equal(scene.address(ONE), "192.0.2.3:3260");
    assert.equal(scene.judge(TWO), undefined);
  });

  test("refuses them where there is no other", () => {
    const scene = new Scene({ reaches: [1] });
    scene.drained.add(ONE);
    assert.equal(scene.address(ONE), "unavailable");
  });

  test("sends a connection that joins a session nowhere but within its portal group", () => {
    const near = portal(1, "192.0.2.11");
    const scene = new Scene({ portals: [ONE, TWO, near] });
    scene.drained.add(ONE);
    assert.equal(scene.address(ONE, { tsih: 5 }), "192.0.2.11:3260");
    scene.drained.add(near);
    assert.equal(scene.address(ONE, { tsih: 5 }), "unavailable");
  });
});

test("a target that is drained is served nowhere, but it may have moved", () => {
  const scene = new Scene({});
  scene.drained.add(TARGET);
  for (const tsih of [0, 5]) assert.equal(scene.address(ONE, { tsih }), "unavailable");
  const moved = new Scene({ redirect: staticTo("192.0.2.9") });
  moved.drained.add(TARGET);
  assert.equal(moved.address(ONE), "192.0.2.9:3260");
  assert.equal(moved.address(ONE, { tsih: 5 }), "unavailable");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { ACCESS_STATE_OPTIMIZED } from "../../../../dataplane/scsi/access-state.js";
import { UnitAttentions } from "../../../../dataplane/scsi/unit-attention.js";
import { changeLuns } from "../../../../dataplane/session/lun-change.js";
import type { LunMapping } from "../../../../dataplane/session/lun-mapping.js";
import type { Shard } from "../../../../dataplane/shard.js";

test("a LUN that is added is as control says: who may write, what a reservation and the access state keep out, what is limited", () => {
  const luns = new Map<number, LunMapping>();
  const session = { luns, attentions: new UnitAttentions(), throttle: null };
  const units = new Map([
    [0, { readOnly: false, losses: 0, throttle: null }],
    [1, { readOnly: true, losses: 0, throttle: {} }],
  ]);
  const posted: unknown[] = [];
  const host = { post: (message: unknown) => posted.push(message) };
  const shard = { sessions: new Map([[7, session]]), units, host } as unknown as Shard;
  const standby = ACCESS_STATE_OPTIMIZED + 2;
  const added = [
    { lun: 3, unitIndex: 0, readOnly: false, blocked: 0x10, accessState: standby },
    { lun: 4, unitIndex: 1, readOnly: false, blocked: 0, accessState: ACCESS_STATE_OPTIMIZED },
  ];
  const change = { type: "lunChange", sessionId: 7, added: [], removed: [], switched: [] } as const;
  changeLuns(shard, { ...change, exchange: 5, added });
  const seen = [...luns.values()].map((mapping) => [
    mapping.lun,
    mapping.readOnly,
    mapping.accessState,
    (mapping.blocked & 0x10) !== 0,
    mapping.isLimited,
  ]);
  assert.deepEqual(seen, [
    [3, false, standby, true, false],
    [4, true, ACCESS_STATE_OPTIMIZED, false, true],
  ]);
  assert.notEqual(luns.get(3)!.blocked, 0x10, "standby keeps out, too");
  assert.deepEqual(posted, [{ type: "done", exchange: 5 }]);
  const switched = [
    { lun: 3, readOnly: true },
    { lun: 4, readOnly: false },
    { lun: 9, readOnly: true },
  ];
  changeLuns(shard, { ...change, exchange: 7, switched });
  assert.deepEqual(
    [luns.get(3)!.readOnly, luns.get(4)!.readOnly],
    [true, true],
    "a unit that is open for reading stays so",
  );
  changeLuns(shard, { ...change, exchange: 6, removed: [3] });
  assert.deepEqual([...luns.keys()], [4]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionQuota } from "../../../control/connection-quota.js";

test("no peer takes more than its share, and all together no more than there is", () => {
  const quota = new ConnectionQuota(3, 2);
  assert.ok(quota.take("a"));
  assert.ok(quota.take("a"));
  assert.equal(quota.take("a"), undefined);
  assert.ok(quota.take("b"));
  assert.equal(quota.take("c"), undefined);
  assert.equal(quota.count, 3);
});

test("what is given back can be taken again, and only once", () => {
  const quota = new ConnectionQuota(2, 1);
  const release = quota.take("a");
  assert.ok(quota.take("b"));
  release?.();
  release?.();
  assert.equal(quota.count, 1);
  assert.ok(quota.take("a"));
  assert.equal(quota.take("c"), undefined);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type * as z from "zod";
import { INITIATORS_OF_UNIT_MAX, LEFT_BEHIND_MS } from "../../../../control/limits.js";
import { UnheardLosses } from "../../../../control/units/unheard-losses.js";

/** Documents as they are kept, and how often one was written or removed. */
class Kept {
  readonly documents = new Map<string, unknown>();
  writes = 0;
  nowMs = 1;
  failure: Error | undefined;
  readonly errors: unknown[] = [];

  async read<T>(name: string, schema: z.ZodType<T>): Promise<T | null> {
    return this.documents.has(name) ? schema.parse(this.documents.get(name)) : null;
  }

  async write(name: string, data: unknown): Promise<void> {
    this.writes++;
    if (this.failure !== undefined) throw this.failure;
    this.documents.set(name, data);
  }

  async remove(name: string): Promise<void> {
    this.documents.delete(name);
  }

  /** Of a process that has served for so long that nothing is left behind by the one before. */
  async losses(...uuids: string[]): Promise<UnheardLosses> {
    const losses = await this.started(...uuids);
    this.nowMs += LEFT_BEHIND_MS;
    return losses;
  }

  async started(...uuids: string[]): Promise<UnheardLosses> {
    const logger = { error: (error: unknown) => this.errors.push(error) };
    const losses = new UnheardLosses(this, logger, () => this.nowMs);
    for (const uuid of uuids) await losses.load(uuid);
    return losses;
  }
}

test("an initiator is told until it has heard; one that has come, or come back, after the loss has nothing to hear", async () => {
  const losses = await new Kept().losses("unit", "other unit");
  for (const name of ["lost", "hears", "leaves"]) assert.equal(losses.sees("unit", name), false);
  losses.sees("other unit", "lost");
  losses.left("unit", "leaves");
  losses.lost("unit");
  losses.heard("unit", "hears");
  losses.heard("unit", "stranger");
  for (const name of ["hears", "leaves", "late", "stranger"]) assert.equal(losses.sees("unit", name), false, name);
  for (let login = 0; login < 2; login++) assert.equal(losses.sees("unit", "lost"), true);
  assert.equal(losses.sees("other unit", "lost"), false);
  losses.heard("unit", "lost");
  assert.equal(losses.sees("unit", "lost"), false);
});

test("no more initiators are kept than the limit says: the first go", async () => {
  const losses = await new Kept().losses("unit", "other unit");
  for (let number = 0; number <= INITIATORS_OF_UNIT_MAX; number++) losses.sees("unit", `${number}`);
  losses.lost("unit");
  assert.equal(losses.sees("unit", `${INITIATORS_OF_UNIT_MAX}`), true);
  assert.equal(losses.sees("unit", "0"), false);
});

test("who has not heard is told after a restart, too; nobody else is", async () => {
  const kept = new Kept();
  const before = await kept.losses("unit", "other unit");
  for (const name of ["lost", "hears", "leaves"]) before.sees("unit", name);
  before.sees("other unit", "lost");
  before.lost("unit");
  before.heard("unit", "hears");
  before.left("unit", "leaves");
  await before.saved;
  assert.equal(kept.writes, 1, "of what is known by then");

  const after = await kept.losses("unit", "other unit");
  for (const name of ["hears", "leaves", "stranger"]) assert.equal(after.sees("unit", name), false, name);
  assert.equal(after.sees("other unit", "lost"), false);
  assert.equal(after.sees("unit", "lost"), true);
  after.heard("unit", "lost");
  await after.saved;
  assert.equal(kept.documents.size, 0);
});

test("a unit that is opened anew has what is known, and one that is gone leaves nothing", async () => {
  const kept = new Kept();
  const losses = await kept.losses("unit");
  losses.sees("unit", "lost");
  losses.lost("unit");
  await losses.saved;
  assert.equal(kept.documents.size, 1);
  losses.heard("unit", "lost");
  await losses.load("unit");
  assert.equal(losses.sees("unit", "lost"), false);
  losses.lost("unit");
  losses.forget("unit");
  await losses.saved;
  assert.equal(kept.documents.size, 0);
});

test("where it cannot be kept, that is logged, and the next change tries again", async () => {
  const kept = new Kept();
  const losses = await kept.losses("unit");
  losses.sees("unit", "lost");
  kept.failure = new Error("no space");
  losses.lost("unit");
  await losses.saved;
  assert.deepEqual(kept.errors, [{ err: kept.failure }]);
  kept.failure = undefined;
  losses.lost("unit");
  await losses.saved;
  assert.deepEqual([...kept.documents.values()], [{ initiators: ["lost"] }]);
});

test("what is lost soon after the start may be of initiators that have not been here since: they are told, once", async () => {
  const kept = new Kept();
  const losses = await kept.started("unit", "other unit");
  for (const name of ["here", "leaves"]) losses.sees("unit", name);
  losses.left("unit", "leaves");
  kept.nowMs += LEFT_BEHIND_MS - 1;
  losses.lost("unit");
  kept.nowMs += LEFT_BEHIND_MS;
  for (const name of ["here", "late"]) {
    assert.equal(losses.sees("unit", name), true, name);
    losses.heard("unit", name);
    assert.equal(losses.sees("unit", name), false, name);
  }
  assert.equal(losses.sees("unit", "leaves"), false);
  assert.equal(losses.sees("other unit", "late"), false);
  assert.equal(losses.sees("unit", "later"), true);
  await losses.saved;
  assert.deepEqual([...kept.documents.values()], [{ initiators: ["later"] }]);
});

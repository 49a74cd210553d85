import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { LunMapping } from "../../../../dataplane/session/lun-mapping.js";
import type { LogicalUnit } from "../../../../dataplane/storage/logical-unit.js";
import { TASK_DORMANT, Task } from "../../../../dataplane/task/task.js";
import {
  TASK_ATTRIBUTE_HEAD_OF_QUEUE,
  TASK_ATTRIBUTE_ORDERED,
  TASK_ATTRIBUTE_SIMPLE,
  TASK_ATTRIBUTE_UNTAGGED,
} from "../../../../dataplane/wire/scsi-command.js";

const SIMPLE = TASK_ATTRIBUTE_SIMPLE;
const ORDERED = TASK_ATTRIBUTE_ORDERED;
const HEAD = TASK_ATTRIBUTE_HEAD_OF_QUEUE;

function open() {
  const mapping = new LunMapping(0, {} as LogicalUnit, false, 0);
  const submit = (attribute: number) => {
    const task = new Task(0, 0);
    task.attribute = attribute;
    mapping.admit(task);
    return task;
  };
  return { mapping, submit };
}

describe("task attributes (SAM-5)", () => {
  test("SIMPLE and untagged tasks run side by side", () => {
    const { submit } = open();
    for (const attribute of [SIMPLE, SIMPLE, TASK_ATTRIBUTE_UNTAGGED]) assert.ok(submit(attribute).admitted);
  });

  test("ORDERED waits for all older tasks, and all younger ones wait for it", () => {
    const { mapping, submit } = open();
    const older = [submit(SIMPLE), submit(SIMPLE)];
    const ordered = submit(ORDERED);
    const younger = [submit(SIMPLE), submit(SIMPLE)];
    for (const task of [ordered, ...younger]) assert.equal(task.state, TASK_DORMANT);
    mapping.leave(older[0]!);
    assert.equal(mapping.next(), null);
    mapping.leave(older[1]!);
    assert.equal(mapping.next(), ordered);
    assert.equal(mapping.next(), null);
    mapping.leave(ordered);
    assert.equal(mapping.next(), younger[0]);
    assert.equal(mapping.next(), younger[1]);
    assert.equal(mapping.next(), null);
  });

  test("HEAD OF QUEUE waits for nothing, and an ORDERED task waits for it", () => {
    const { mapping, submit } = open();
    const ordered = submit(ORDERED);
    assert.ok(ordered.admitted);
    const head = submit(HEAD);
    assert.ok(head.admitted);
    const second = submit(ORDERED);
    mapping.leave(ordered);
    assert.equal(mapping.next(), null);
    mapping.leave(head);
    assert.equal(mapping.next(), second);
  });

  test("an aborted dormant task holds nobody up", () => {
    const { mapping, submit } = open();
    const first = submit(SIMPLE);
    const ordered = submit(ORDERED);
    const last = submit(SIMPLE);
    mapping.remove(ordered);
    assert.equal(mapping.next(), last);
    mapping.remove(submit(ORDERED));
    assert.ok(submit(SIMPLE).admitted);
    mapping.leave(first);
  });
});

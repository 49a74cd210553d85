import assert from "node:assert/strict";
import { test } from "node:test";
import { Task } from "../../../../dataplane/task/task.js";
import { allocateBudgets, Budget } from "../../../../dataplane/throttle/budget.js";
import { Throttle } from "../../../../dataplane/throttle/throttle.js";
import { TASK_ATTRIBUTE_HEAD_OF_QUEUE } from "../../../../dataplane/wire/scsi-command.js";

const NOW_US = 50_000_000_000;
const CREDIT = 512;
/** One credit a millisecond. */
const LIMITS = { budget: 0, iops: null, bytesPerSecond: 1000 * CREDIT, burstSeconds: 0 };

/** Throttles of so many shards before one budget. */
function throttles(count = 1): Throttle[] {
  const memory = allocateBudgets(1);
  new Budget(memory, LIMITS).reset(NOW_US);
  return Array.from({ length: count }, () => new Throttle(0, new Budget(memory, LIMITS), true));
}

let tasks = 0;
function task(credits: number, attribute = 0): Task {
  const made = new Task(tasks++, 0);
  made.costBytes = credits * CREDIT;
  made.attribute = attribute;
  return made;
}

/** Milliseconds from the start on at which the first task is due. */
const dueMs = (throttle: Throttle, ms = 0): number => Math.round((throttle.dueUs(NOW_US + ms * 1000) - NOW_US) / 1000);

/** Whether it begins at once; if not, it is queued. */
function arrives(throttle: Throttle, arriving: Task, ms = 0): boolean {
  const isAdmitted = throttle.admits(arriving, NOW_US + ms * 1000);
  if (!isAdmitted) throttle.enqueue(arriving);
  return isAdmitted;
}

test("tasks begin in the order in which they came, each as soon as those before it are paid for", () => {
  const [throttle] = throttles();
  const [first, second, third] = [task(10), task(1), task(5)];
  assert.ok(arrives(throttle!, first!));
  assert.ok(!arrives(throttle!, second!) && !arrives(throttle!, third!));
  assert.equal(dueMs(throttle!), 10);
  assert.equal(throttle!.take(), second);
  assert.equal(dueMs(throttle!, 10), 11);
  assert.equal(throttle!.take(), third);
  assert.ok(throttle!.head === null && second!.throttle === null && third!.throttle === null);
  assert.ok(!arrives(throttle!, task(1), 12), "the last one is not paid for");
  assert.equal(dueMs(throttle!, 12), 16);
});

test("HEAD OF QUEUE goes first, and what it takes the place of is not paid for twice", () => {
  const [throttle] = throttles();
  arrives(throttle!, task(10));
  const [simple, urgent] = [task(100), task(1, TASK_ATTRIBUTE_HEAD_OF_QUEUE)];
  arrives(throttle!, simple);
  arrives(throttle!, urgent);
  assert.equal(dueMs(throttle!), 10);
  assert.equal(throttle!.take(), urgent);
  assert.equal(dueMs(throttle!, 10), 11);
  assert.equal(throttle!.take(), simple);
});

test("a task that goes without having begun costs nothing, wherever it stood", () => {
  const [throttle] = throttles();
  arrives(throttle!, task(10));
  const waiting = [task(1000), task(1), task(1000), task(1), task(1000)];
  for (const one of waiting) arrives(throttle!, one);
  for (const at of [2, 0, 4]) throttle!.remove(waiting[at]!);
  assert.equal(dueMs(throttle!), 10);
  assert.equal(throttle!.take(), waiting[1]);
  assert.equal(dueMs(throttle!, 10), 11);
  throttle!.remove(waiting[3]!);
  assert.equal(throttle!.head, null);
  assert.ok(arrives(throttle!, task(1), 11));
});

test("one that is neither admitted nor queued costs nothing", () => {
  const [throttle] = throttles();
  arrives(throttle!, task(10));
  const refused = task(1000);
  assert.ok(!throttle!.admits(refused, NOW_US));
  throttle!.forgo(refused);
  assert.ok(arrives(throttle!, task(1), 10));
  // With others before it, nothing was booked for it.
  arrives(throttle!, task(1), 10);
  assert.ok(!throttle!.admits(refused, NOW_US));
  throttle!.forgo(refused);
  assert.equal(dueMs(throttle!, 10), 11);
});

test("shards take turns, however many tasks one of them has", () => {
  const [busy, calm] = throttles(2);
  arrives(busy!, task(1));
  for (let i = 0; i < 100; i++) arrives(busy!, task(1));
  arrives(calm!, task(1));
  const order: string[] = [];
  for (let ms = 1; order.length < 6; ms++) {
    for (const [name, throttle] of [
      ["busy", busy!],
      ["calm", calm!],
    ] as const) {
      while (throttle.head !== null && throttle.dueUs(NOW_US + ms * 1000) <= NOW_US + ms * 1000) {
        throttle.take();
        order.push(name);
        if (throttle === calm) arrives(calm, task(1), ms);
      }
    }
  }
  assert.deepEqual(order, ["busy", "calm", "busy", "calm", "busy", "calm"]);
});

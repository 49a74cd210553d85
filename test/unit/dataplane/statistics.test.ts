import assert from "node:assert/strict";
import { test } from "node:test";
import { SENSE_DEFERRED, SENSE_KEY_HARDWARE_ERROR, SENSE_KEY_MEDIUM_ERROR } from "../../../dataplane/scsi/sense.js";
import { COMMANDS } from "../../../dataplane/scsi/table.js";
import {
  allocateStatistics,
  ERROR_ABORTED,
  ERROR_RESERVATION_CONFLICT,
  ERRORS,
  IN_FLIGHT,
  OTHERS,
  READ_BYTES,
  READ_FAILURES,
  READ_TIMES,
  READS,
  Statistics,
  statisticsBlock,
  THROTTLED,
  THROTTLED_TIME,
  TIME_BUCKETS,
  timeBucket,
  VERIFIED_BYTES,
  VERIFY_FAILURES,
  WRITE_FAILURES,
  WRITE_TIMES,
  WRITES,
  WRITTEN_BYTES,
} from "../../../dataplane/statistics.js";
import type { LogicalUnit } from "../../../dataplane/storage/logical-unit.js";
import {
  TASK_ABORTED,
  TASK_RESPONDING,
  type Task,
  TRANSFER_COMPARE,
  TRANSFER_NONE,
  TRANSFER_READ,
  TRANSFER_VERIFY,
  TRANSFER_WRITE,
} from "../../../dataplane/task/task.js";
import {
  SCSI_STATUS_CHECK_CONDITION,
  SCSI_STATUS_CONDITION_MET,
  SCSI_STATUS_GOOD,
  SCSI_STATUS_RESERVATION_CONFLICT,
} from "../../../dataplane/wire/scsi-response.js";

const UNIT = 3;
const SESSION = 7;

function task(changes: Partial<Task>): Task {
  return {
    state: TASK_RESPONDING,
    transfer: TRANSFER_NONE,
    status: SCSI_STATUS_GOOD,
    senseKey: 0,
    transferLength: 0,
    startedUs: 1000,
    unit: { statisticsBlock: UNIT },
    session: { statisticsBlock: SESSION },
    ...changes,
  } as unknown as Task;
}

test("bucket i has what takes less than 64 us * 2^i, the last one the rest", () => {
  const cases = [
    [0, 0],
    [63, 0],
    [64, 1],
    [127, 1],
    [128, 2],
    [2 ** 21 - 1, 15],
    [2 ** 21, 16],
    [2 ** 31 - 1, 16],
  ] as const;
  for (const [us, bucket] of cases) assert.equal(timeBucket(us), bucket, `${us} us`);
  assert.equal(TIME_BUCKETS, 17);
});

test("a command counts for its unit and its session alike", () => {
  const memory = allocateStatistics();
  const statistics = new Statistics(memory);
  const commands = [
    task({ transfer: TRANSFER_READ, transferLength: 4096 }),
    task({ transfer: TRANSFER_WRITE, transferLength: 512 }),
    task({ transfer: TRANSFER_READ, status: SCSI_STATUS_CHECK_CONDITION, senseKey: 3, transferLength: 4096 }),
    task({ status: SCSI_STATUS_RESERVATION_CONFLICT }),
    task({ status: SCSI_STATUS_CONDITION_MET }),
    task({ transfer: TRANSFER_WRITE, state: TASK_ABORTED, transferLength: 512, status: SCSI_STATUS_CHECK_CONDITION }),
    task({}),
  ];
  for (const command of commands) statistics.began(command);
  for (const command of commands.slice(0, -1)) statistics.ended(command, 1100);
  for (const block of [UNIT, SESSION]) {
    const counted = statisticsBlock(memory, block);
    assert.equal(counted[READS], 2);
    assert.equal(counted[WRITES], 2);
    assert.equal(counted[OTHERS], 2);
    assert.equal(counted[READ_BYTES], 4096);
    assert.equal(counted[WRITTEN_BYTES], 512);
    assert.equal(counted[IN_FLIGHT], 1);
    assert.equal(counted[ERRORS + 3], 1);
    assert.equal(counted[ERRORS + ERROR_RESERVATION_CONFLICT], 1);
    assert.equal(counted[ERRORS + ERROR_ABORTED], 1);
    assert.equal(
      counted.subarray(ERRORS, READ_TIMES).reduce((sum, count) => sum + count),
      3,
    );
    assert.equal(counted[READ_TIMES], 200);
    assert.equal(counted[READ_TIMES + 1 + 1], 2);
    assert.equal(counted[WRITE_TIMES], 200);
  }
  assert.ok(statisticsBlock(memory, UNIT + 1).every((count) => count === 0));
});

test("what is received whole before it is written counts as written", () => {
  const memory = allocateStatistics();
  const statistics = new Statistics(memory);
  const command = COMMANDS.find(({ name }) => name === "WRITE ATOMIC(16)")!;
  const unit = { statisticsBlock: UNIT, blockLengthBytes: 512 } as LogicalUnit;
  for (const status of [SCSI_STATUS_GOOD, SCSI_STATUS_CHECK_CONDITION]) {
    const write = task({ command, unit, blocks: 16, status, senseKey: 0xe });
    statistics.began(write);
    statistics.ended(write, 1100);
  }
  const counted = statisticsBlock(memory, UNIT);
  assert.deepEqual([counted[WRITES], counted[WRITTEN_BYTES], counted[OTHERS], counted[WRITE_TIMES]], [2, 8192, 0, 200]);
});

test("a deferred error counts by its sense key", () => {
  const memory = allocateStatistics();
  const statistics = new Statistics(memory);
  for (const key of [SENSE_KEY_MEDIUM_ERROR, SENSE_KEY_HARDWARE_ERROR]) {
    const told = task({ status: SCSI_STATUS_CHECK_CONDITION, senseKey: SENSE_DEFERRED | key });
    statistics.began(told);
    statistics.ended(told, 1100);
  }
  const counted = statisticsBlock(memory, UNIT);
  const errors = [counted[ERRORS + SENSE_KEY_MEDIUM_ERROR], counted[ERRORS + SENSE_KEY_HARDWARE_ERROR]];
  assert.deepEqual([...errors, counted[ERRORS + ERROR_ABORTED], counted[READ_TIMES]], [1, 1, 0, 0]);
});

test("a MEDIUM ERROR counts by what failed, and what was verified by its bytes", () => {
  const memory = allocateStatistics();
  const statistics = new Statistics(memory);
  const failed = { status: SCSI_STATUS_CHECK_CONDITION, senseKey: 3, transferLength: 512 };
  const commands = [
    task({ ...failed, transfer: TRANSFER_READ, asc: 0x11 }),
    task({ ...failed, transfer: TRANSFER_WRITE, asc: 0x0c }),
    task({ ...failed, transfer: TRANSFER_NONE, asc: 0x0c }),
    task({ ...failed, transfer: TRANSFER_VERIFY, asc: 0x11 }),
    task({ ...failed, transfer: TRANSFER_VERIFY, senseKey: 4, asc: 0x44 }),
    task({ transfer: TRANSFER_VERIFY, transferLength: 4096 }),
    task({ transfer: TRANSFER_COMPARE, transferLength: 1024 }),
  ];
  for (const command of commands) {
    statistics.began(command);
    statistics.ended(command, 1100);
  }
  const counted = statisticsBlock(memory, UNIT);
  const places = [READ_FAILURES, WRITE_FAILURES, VERIFY_FAILURES, VERIFIED_BYTES];
  assert.deepEqual(
    places.map((at) => counted[at]),
    [1, 2, 1, 5120],
  );
});

test("what waits for a limit counts for its unit and its session, with the time", () => {
  const memory = allocateStatistics();
  const statistics = new Statistics(memory);
  statistics.throttled(task({}), 1500);
  statistics.throttled(task({ unit: { statisticsBlock: UNIT + 1 } as never }), 500);
  const counted = [UNIT, UNIT + 1, SESSION].map((block) => statisticsBlock(memory, block));
  assert.deepEqual(
    counted.map((block) => [block[THROTTLED], block[THROTTLED_TIME]]),
    [
      [1, 1500],
      [1, 500],
      [2, 2000],
    ],
  );
});

test("the next thread begins with nothing in flight, and goes on counting", () => {
  const memory = allocateStatistics();
  const first = new Statistics(memory);
  first.began(task({}));
  first.began(task({}));
  first.ended(task({}), 1000);
  new Statistics(memory);
  assert.equal(statisticsBlock(memory, UNIT)[IN_FLIGHT], 0);
  assert.equal(statisticsBlock(memory, UNIT)[OTHERS], 1);
});

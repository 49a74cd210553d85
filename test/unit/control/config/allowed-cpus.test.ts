import assert from "node:assert/strict";
import { test } from "node:test";
import { isAmong, readAllowedCpus } from "../../../../control/config/allowed-cpus.js";

test("the kernel says which CPUs there are for this process", () => {
  assert.match(readAllowedCpus() ?? "", /^\d+([-,]\d+)*$/);
});

test("a CPU is in the list that has it, or a range around it", () => {
  const among = (list: string) => Array.from({ length: 20 }, (_, cpu) => cpu).filter((cpu) => isAmong(cpu, list));
  assert.deepEqual(among("0"), [0]);
  assert.deepEqual(among("0-3"), [0, 1, 2, 3]);
  assert.deepEqual(among("1,4-5,10"), [1, 4, 5, 10]);
  assert.deepEqual(among("12-15,17-18"), [12, 13, 14, 15, 17, 18]);
});

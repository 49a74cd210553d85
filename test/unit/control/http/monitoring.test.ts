/** docs/MONITORING.md, the dashboard and the alerts speak of metrics that there are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { commandMetrics } from "../../../../control/http/command-metrics.js";
import { metricTable } from "../../../../control/http/metric-family.js";
import { Metrics } from "../../../../control/http/metrics.js";
import { INITIATORS_COUNTED_MAX } from "../../../../control/limits.js";
import type { Server } from "../../../../control/server.js";
import { OPCODES } from "../../../../dataplane/counters.js";
import { BLOCK_DOUBLES } from "../../../../dataplane/statistics.js";
import {
  ALERT_TESTS,
  alerts,
  dashboardQuestions,
  dashboardVariables,
  metricsIn,
  type Question,
} from "../../../support/monitoring.js";
import { repositoryText } from "../../../support/repository.js";

const PAGE = repositoryText("docs/MONITORING.md");
const BEGIN = "<!-- metrics: made from control/http/metrics.ts and control/http/command-metrics.ts -->\n";
const END = "\n<!-- end of metrics -->";
/** Labels that Prometheus adds, and that of buckets. */
const OTHER_LABELS = ["job", "instance", "le"];

const { families } = new Metrics({} as Server);
const own = families.filter(({ name }) => name.startsWith("ringlun_"));

test("the table of metrics in docs/MONITORING.md is that of the program", () => {
  const begin = PAGE.indexOf(BEGIN);
  const end = PAGE.indexOf(END, begin);
  assert.ok(begin >= 0 && end >= 0, "the marks around the table are gone");
  const table = metricTable(own);
  assert.equal(PAGE.slice(begin + BEGIN.length, end), table, `put this table between the marks:\n\n${table}\n`);
});

/** Lines of one name of each kind of which everything has happened. */
function fullLines(): string[] {
  const all = () => new Map([["x", new Float64Array(BLOCK_DOUBLES).fill(1)]]);
  const sessionStatistics = { byTarget: all, byInitiator: all };
  const server = { units: [{ name: "x" }], unitStatistics: () => all().get("x"), sessionStatistics };
  return [...commandMetrics(server as unknown as Server)]
    .join("")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
}

test("the numbers of series in docs/MONITORING.md are right", () => {
  const lines = fullLines();
  for (const kind of ["unit", "target", "initiator"]) {
    const count = lines.filter((line) => line.startsWith(`ringlun_${kind}_`)).length;
    assert.ok(PAGE.includes(`| \`${kind}\` | at most ${count} each |`), `${count} of each ${kind}`);
  }
  const ofShards = own.filter(({ labels }) => labels[0] === "shard");
  const byOpcode = ofShards.filter(({ labels }) => labels.length > 1).length * OPCODES;
  const shard = ofShards.filter(({ labels }) => labels.length === 1).length + byOpcode;
  assert.ok(
    PAGE.includes(`| \`shard\` | at most ${shard} each, of which ${byOpcode} are by opcode |`),
    `${shard} of each`,
  );
  assert.ok(PAGE.includes(`the first ${INITIATORS_COUNTED_MAX} names`));
});

test("lines have the labels that the table says", () => {
  for (const line of fullLines()) {
    const [, name, labels] = /^(\w+?)(?:_bucket|_sum|_count)?\{(.*)\} /.exec(line)!;
    const family = own.find((it) => it.name === name);
    const names = [...labels!.matchAll(/(\w+)="/g)].map(([, label]) => label!).filter((label) => label !== "le");
    assert.deepEqual(names, family?.labels, line);
  }
});

function faults(questions: readonly Question[]): string[] {
  return questions.flatMap(({ where, expression }) => {
    const named = metricsIn(expression).filter(({ name }) => name !== "up");
    const labels = new Set([...OTHER_LABELS]);
    const found = named.flatMap(({ name, labels: asked }) => {
      const family = families.find((it) => it.name === name);
      if (family === undefined) return [`${where}: there is no ${name}`];
      for (const label of family.labels) labels.add(label);
      return asked
        .filter((label) => ![...family.labels, ...OTHER_LABELS].includes(label))
        .map((label) => `${where}: ${name} has no label ${label}`);
    });
    const grouped = [...expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list]) => list!.split(/,\s*/));
    if (named.length > 0) found.push(...grouped.filter((it) => !labels.has(it)).map((it) => `${where}: by ${it}`));
    return found;
  });
}

test("every metric and label that the dashboard and the alerts ask for is there", () => {
  const questions = [
    ...alerts().map(({ alert, expr }) => ({ where: alert, expression: expr })),
    ...dashboardQuestions("ringlun"),
    ...dashboardVariables(),
    ...[...PAGE.matchAll(/^\| [^|`]+ \| `([^`]+)` \|$/gm)].map(([, expression]) => ({
      where: "page",
      expression: expression!,
    })),
  ];
  assert.ok(questions.length > 60, `${questions.length}`);
  assert.deepEqual(faults(questions), []);
  assert.deepEqual(
    faults([{ where: "a", expression: 'sum by (disk) (ringlun_unit_bytes_total{shard="0"}) / ringlun_gone' }]),
    ["a: ringlun_unit_bytes_total has no label shard", "a: there is no ringlun_gone", "a: by disk"],
  );
});

test("each alert says how grave it is and what to do, and has a test", () => {
  const tests = repositoryText(ALERT_TESTS);
  for (const { alert, labels, annotations } of alerts()) {
    assert.match(labels.severity!, /^(?:critical|warning)$/, alert);
    assert.ok(annotations.summary!.length > 20 && annotations.runbook!.length > 60, alert);
    assert.ok(tests.includes(`alertname="${alert}"`), `${alert} is not in ${ALERT_TESTS}`);
  }
});

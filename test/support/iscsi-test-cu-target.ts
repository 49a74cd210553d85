/** Suites of iscsi-test-cu against a running target, each on a unit of its own that nobody has used, or all on one. */
import { type CuOptions, type CuResult, type CuResults, type CuSuite, runSuites } from "./iscsi-test-cu.js";
import { type Places, type RunningTarget, TARGET_NAME } from "./target.js";
import { startVariant, type Variant } from "./variants.js";

/** Large enough for every test, small enough for those that read beyond the end with READ(6). */
const UNIT_SIZE = "128MiB";
/** Most of the time of a suite passes in waiting. */
const CONCURRENCY = 4;
const SUITE_TIMEOUT_MS = 240_000;
const ALL_SUITES_TIMEOUT_MS = 280_000;

/** Suites that would skip themselves on a disk that is fixed and can be written. */
const REMOVABLE = ["SCSI.NoMedia", "SCSI.PreventAllow", "SCSI.StartStopUnit"];
const READ_ONLY = ["SCSI.ReadOnly"];
/** Suites that take it for granted that a physical block is one logical block; others skip themselves where it is. */
const PHYSICAL_BLOCKS_OF_512 = ["SCSI.GetLBAStatus"];

/**
 * Suites that log in a second time themselves, where there is no other path: one that was there all along would be told of the
 * resets and the loaded media of the tests before, and takes that for a failure; or it would keep a RESERVE that one test takes
 * and no SANITIZE begins with.
 */
const ONE_PATH = ["SCSI.PreventAllow", "SCSI.Sanitize"];

/** Suites that want SANITIZE to be going on after several seconds. They look only once a minute whether it is over. */
const SLOW_ERASE = ["SCSI.Sanitize"];
const ERASE_RATE = "10MiB";

/** A target for each unit: some suites reset theirs, which ends the sessions of it. */
function targetName(unit: number): string {
  return `${TARGET_NAME}:${unit}`;
}

/** The other path to the unit. */
function secondTargetName(unit: number): string {
  return `${targetName(unit)}:second`;
}

/** `units`: for each of them the suites that it is for. */
function config(units: readonly (readonly string[])[], { port }: Places, { cache, workers }: Variant): string {
  const isFor = (names: readonly string[], suites: readonly string[]): boolean =>
    suites.length > 0 && suites.every((suite) => names.includes(suite));
  const targets = units.flatMap((suites, i) => {
    const luns = `{ 0: { unit: unit${i}, readOnly: ${isFor(READ_ONLY, suites)} } }`;
    return [targetName(i), secondTargetName(i)].map(
      (name) => `  - { name: "${name}", portalGroups: [1], luns: ${luns} }`,
    );
  });
  const served = units.map((suites, i) => {
    const removable = isFor(REMOVABLE, suites) ? ", removable: true" : "";
    const physical = isFor(PHYSICAL_BLOCKS_OF_512, suites) ? ", physicalBlockLength: 512" : "";
    const eraseRate = isFor(SLOW_ERASE, suites) ? `, eraseRate: ${ERASE_RATE}` : "";
    return `  unit${i}: { file: ./unit${i}.img, size: ${UNIT_SIZE}, cache: ${cache}${removable}${physical}${eraseRate} }`;
  });
  return `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
${targets.join("\n")}
units:
${served.join("\n")}
workers: ${workers}
`;
}

/** Two initiators, and two paths unless they are not wanted: with several shards the sessions are on two of them. */
function optionsFor(target: RunningTarget, unit: number, timeoutMs: number, hasTwoPaths: boolean): CuOptions {
  return {
    url: target.url(0, targetName(unit)),
    ...(hasTwoPaths ? { secondUrl: target.url(0, secondTargetName(unit)) } : {}),
    initiatorName: "iqn.2026-11.io.ringlun:first",
    secondInitiatorName: "iqn.2026-11.io.ringlun:second",
    dataloss: true,
    sanitize: true,
    timeoutMs,
  };
}

/** Each suite in a process and on a unit of its own, several at a time. */
export async function runSuitesApart(variant: Variant, suites: readonly CuSuite[]): Promise<CuResults> {
  const units = suites.map(({ name }) => [name]);
  const target = await startVariant(variant, { config: (places) => config(units, places, variant) });
  const results = new Map<string, readonly CuResult[]>(suites.map(({ name }) => [name, []]));
  // What takes longest first.
  const isSlow = ({ name }: CuSuite): number => Number(SLOW_ERASE.includes(name));
  const queue = [...suites.entries()].sort(([, a], [, b]) => isSlow(b) - isSlow(a));
  const runQueue = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [unit, suite] = next;
      const found = await runSuites(
        [suite],
        optionsFor(target, unit, SUITE_TIMEOUT_MS, !ONE_PATH.includes(suite.name)),
      );
      for (const [name, tests] of found) results.set(name, tests);
    }
  };
  try {
    await Promise.all(Array.from({ length: CONCURRENCY }, runQueue));
  } finally {
    await target.stop();
  }
  return results;
}

/** All suites one after the other, in one process, on one unit as it is without any option. */
export async function runSuitesTogether(variant: Variant, suites: readonly CuSuite[]): Promise<CuResults> {
  const target = await startVariant(variant, { config: (places) => config([[]], places, variant) });
  try {
    return await runSuites(suites, optionsFor(target, 0, ALL_SUITES_TIMEOUT_MS, true));
  } finally {
    await target.stop();
  }
}

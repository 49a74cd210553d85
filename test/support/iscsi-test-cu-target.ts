/** Suites of iscsi-test-cu against a running target, each on a unit of its own that nobody has used. */
import { type CuResult, type CuSuite, runSuite } from "./iscsi-test-cu.js";
import { type Places, TARGET_NAME } from "./target.js";
import { startVariant, type Variant } from "./variants.js";

/** Large enough for every test, small enough for those that read beyond the end with READ(6). */
const UNIT_SIZE = "512MiB";
/** Most of the time of a suite passes in waiting. */
const CONCURRENCY = 3;

/** Suites that would skip themselves on a disk that is fixed and can be written. */
const REMOVABLE = ["SCSI.NoMedia", "SCSI.PreventAllow", "SCSI.StartStopUnit"];
const READ_ONLY = ["SCSI.ReadOnly"];
/** Suites that take it for granted that a physical block is one logical block. */
const BLOCKS_OF_4096 = ["SCSI.GetLBAStatus"];

/** A target for each suite: some reset theirs, which ends the sessions of it. */
function targetName(suite: number): string {
  return `${TARGET_NAME}:${suite}`;
}

function config(suites: readonly CuSuite[], { port }: Places, { cache, workers }: Variant): string {
  const targets = suites.map(({ name }, i) => {
    const luns = `{ 0: { unit: unit${i}, readOnly: ${READ_ONLY.includes(name)} } }`;
    return `  - { name: "${targetName(i)}", portalGroups: [1], luns: ${luns} }`;
  });
  const units = suites.map(({ name }, i) => {
    const more = `removable: ${REMOVABLE.includes(name)}, blockLength: ${BLOCKS_OF_4096.includes(name) ? 4096 : 512}`;
    return `  unit${i}: { file: ./unit${i}.img, size: ${UNIT_SIZE}, cache: ${cache}, ${more} }`;
  });
  return `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
${targets.join("\n")}
units:
${units.join("\n")}
workers: ${workers}
`;
}

/** The results of each suite's tests, by the name of the suite, in the order of `suites`. */
export async function runSuites(variant: Variant, suites: readonly CuSuite[]): Promise<Map<string, CuResult[]>> {
  const target = await startVariant(variant, { config: (places) => config(suites, places, variant) });
  const results = new Map<string, CuResult[]>(suites.map(({ name }) => [name, []]));
  const queue = [...suites.entries()];
  const runQueue = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const [i, suite] = next;
      const url = target.url(0, targetName(i));
      // Two sessions, of two initiators: with several shards they are on two of them.
      results.set(suite.name, await runSuite(suite, { url, secondUrl: url, dataloss: true, sanitize: true }));
    }
  };
  try {
    await Promise.all(Array.from({ length: CONCURRENCY }, runQueue));
  } finally {
    await target.stop();
  }
  return results;
}

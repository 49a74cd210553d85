/** A target whose LUNs are a list of files and devices, and initiators for it. */
import { testUnitReady } from "./cdb.js";
import { RawInitiator } from "./raw-initiator.js";
import { RunningTarget, TARGET_NAME } from "./target.js";
import type { Undo } from "./undo.js";

export type CacheMode = "direct" | "writeback" | "writethrough";
export const CACHE_MODES: readonly CacheMode[] = ["direct", "writeback", "writethrough"];
export type BlockLength = 512 | 4096;
export const BLOCK_LENGTHS: readonly BlockLength[] = [512, 4096];

export interface ServedUnit {
  readonly path: string;
  /** Absent: as large as the file is. */
  readonly sizeBytes?: number;
  readonly cache?: CacheMode;
  readonly blockLength?: BlockLength;
  readonly readOnly?: boolean;
}

function unitYaml({ path, sizeBytes, cache = "direct", blockLength = 512, readOnly = false }: ServedUnit): string {
  const size = sizeBytes === undefined ? "" : `, size: ${sizeBytes}`;
  return `{ file: "${path}"${size}, cache: ${cache}, blockLength: ${blockLength}, readOnly: ${readOnly} }`;
}

/** LUN n is the n-th of the units. `session`: negotiable keys of the target, as YAML. */
export async function serveUnits(
  undo: Undo,
  units: readonly ServedUnit[],
  workers = 1,
  session = "{}",
): Promise<RunningTarget> {
  const target = await RunningTarget.start({
    config: ({ port, httpPort }) => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"] }
targets:
  - name: "${TARGET_NAME}"
    portalGroups: [1]
    session: ${session}
    luns: { ${units.map((_, lun) => `${lun}: u${lun}`).join(", ")} }
units:
${units.map((unit, lun) => `  u${lun}: ${unitYaml(unit)}`).join("\n")}
http: { listen: "127.0.0.1:${httpPort}" }
workers: ${workers}
`,
  });
  undo.add(() => target.stop());
  return target;
}

/** Logs in, and takes the unit attentions of a new session. */
export async function logIn(
  undo: Undo,
  target: RunningTarget,
  luns = 1,
  initiatorName?: string,
): Promise<RawInitiator> {
  const initiator = await RawInitiator.connect(target.port);
  undo.add(() => initiator.destroy());
  await initiator.login({
    targetName: TARGET_NAME,
    keys: { MaxRecvDataSegmentLength: "262144", MaxOutstandingR2T: "4" },
    ...(initiatorName === undefined ? {} : { initiatorName }),
  });
  for (let lun = 0; lun < luns; lun++) await initiator.command({ cdb: testUnitReady(), lun });
  return initiator;
}

/** The target within the test's own process, with its real shards, for tests that need a hand on its inside. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import { loadConfiguration } from "../../control/config/load.js";
import { Server } from "../../control/server.js";
import { RawInitiator } from "./raw-initiator.js";
import { TARGET_NAME } from "./target.js";
import type { Undo } from "./undo.js";
import { TEMPORARY_FOLDER } from "./variants.js";

const ARENA_BYTES = 32 * 2 ** 20;

export interface LocalServerOptions {
  readonly cache: "direct" | "writeback" | "writethrough";
  readonly workers: number;
  readonly sizeBytes: number;
  /** Portal groups 1 to so many, through all of which the target is reached. Default: 1. */
  readonly portalGroups?: number;
}

export class LocalServer {
  readonly server: Server;
  /** The file behind LUN 0. */
  readonly path: string;

  private constructor(server: Server, path: string) {
    this.server = server;
    this.path = path;
  }

  static async start(
    undo: Undo,
    { cache, workers, sizeBytes, portalGroups = 1 }: LocalServerOptions,
  ): Promise<LocalServer> {
    const directory = undo.folder(TEMPORARY_FOLDER);
    const config = join(directory, "ringlun.yaml");
    const tags = Array.from({ length: portalGroups }, (_, index) => index + 1);
    // The ports do not matter before they are replaced below: a configuration file cannot ask for any.
    writeFileSync(
      config,
      `
portalGroups: [${tags.map((tag) => `{ tag: ${tag}, portals: ["127.0.0.1:${3260 + tag}"] }`).join(", ")}]
targets: [{ name: "${TARGET_NAME}", portalGroups: [${tags.join(", ")}], luns: { 0: disk } }]
units: { disk: { file: ./disk.img, size: ${sizeBytes}, cache: ${cache} } }
http: { listen: "127.0.0.1:9260" }
workers: ${workers}
log: { level: silent }
`,
    );
    const result = loadConfiguration(config);
    assert(result.ok, "the configuration has faults");
    const configuration = {
      ...result.configuration,
      portalGroups: result.configuration.portalGroups.map((group) => ({
        ...group,
        portals: [{ host: "127.0.0.1", port: 0 }],
      })),
      http: null,
    };
    const server = await Server.start(configuration, {
      logger: pino({ level: "silent" }),
      arenaBytes: ARENA_BYTES,
      onFatal: (reason) => assert.fail(reason),
    });
    undo.add(() => server.stop(0));
    assert.equal(server.units[0]!.cache, cache, `no O_DIRECT in ${directory}: set TMPDIR to a folder that has it`);
    return new LocalServer(server, join(directory, "disk.img"));
  }

  get port(): number {
    return this.server.portals[0]!.address.port;
  }

  /** Logs in; writes then go out whole and unasked. */
  async logIn(undo: Undo, initiatorName: string): Promise<RawInitiator> {
    const initiator = await RawInitiator.connect(this.port);
    undo.add(() => initiator.destroy());
    await initiator.login({
      targetName: TARGET_NAME,
      initiatorName,
      keys: {
        InitialR2T: "No",
        ImmediateData: "Yes",
        FirstBurstLength: "262144",
        MaxBurstLength: "262144",
        MaxRecvDataSegmentLength: "262144",
      },
    });
    return initiator;
  }

  /** The shard that serves the initiator's session. */
  shardOf(initiatorName: string): number {
    const session = this.server.sessions.find(({ identity }) => identity.initiatorName === initiatorName);
    assert(session !== undefined, `${initiatorName} has no session`);
    return session.shard;
  }
}

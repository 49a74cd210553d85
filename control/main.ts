#!/usr/bin/env node
/**
 * Entry of the program. Exit codes: 0 a clean end, 1 something cannot be had on this machine (its message says what), 2 the
 * configuration or the command line is at fault, 70 a dead shard could not be drained.
 */
import { Command, CommanderError } from "commander";
import { DEMO_TARGET, demoConfiguration, hasIPv6Loopback } from "./config/demo.js";
import { formatFaults, loadConfiguration } from "./config/load.js";
import { formatPortalAddress } from "./config/portal-address.js";
import type { Configuration } from "./config/schema.js";
import { createLogger, type Logger } from "./logger.js";
import type { Server } from "./server.js";
import { VERSION } from "./version.js";

const EXIT_UNAVAILABLE = 1;
const EXIT_USAGE = 2;

async function main(argv: readonly string[]): Promise<void> {
  const program = new Command("ringlun")
    .description("An iSCSI target (RFC 7143) whose data plane drives io_uring from TypeScript")
    .version(VERSION)
    .exitOverride();
  program
    .command("serve")
    .description("serve what a configuration file says, in the foreground; SIGHUP reads it again")
    .requiredOption("-c, --config <file>", "the configuration (YAML)")
    .option("--check", "check the configuration and exit")
    .action(async ({ config, check }: { config: string; check?: boolean }) => {
      const configuration = load(config);
      if (configuration === undefined) process.exitCode = EXIT_USAGE;
      else if (check !== true) await serve(configuration, config);
    });
  program
    .command("demo")
    .description("serve a demo: a sparse file of 1 GiB under ./demo, to this machine only")
    .action(demo);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end here too, with 0.
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  }
}

/** Undefined where the file is at fault, which has been said then. */
function load(file: string): Configuration | undefined {
  const result = loadConfiguration(file);
  if (!result.ok) {
    process.stderr.write(`${formatFaults(file, result.faults)}\n`);
    return undefined;
  }
  for (const warning of result.warnings) process.stderr.write(`warning: ${formatFaults(file, [warning])}\n`);
  return result.configuration;
}

async function demo(): Promise<void> {
  const configuration = demoConfiguration(process.cwd());
  const logger = createLogger(configuration.log.level);
  if (!hasIPv6Loopback()) logger.warn("this machine has no IPv6: the demo leaves [::1]:3260 out");
  const server = await start(configuration, logger);
  if (server === undefined) return;
  endOnSignal(server, logger);
  const [portal] = server.portals;
  if (portal !== undefined) {
    process.stdout.write(`connect to iscsi://${formatPortalAddress(portal.address)}/${DEMO_TARGET}/0\n`);
  }
  process.stdout.write("ready\n");
}

async function serve(configuration: Configuration, file: string): Promise<void> {
  const logger = createLogger(configuration.log.level);
  const server = await start(configuration, logger);
  if (server === undefined) return;
  endOnSignal(server, logger);
  reloadOnHangup(server, logger, file);
  process.stdout.write("ready\n");
}

/** Undefined where it cannot be had, which has been said then. */
async function start(configuration: Configuration, logger: Logger): Promise<Server | undefined> {
  try {
    // Loaded here, so that an addon that is missing is told like everything else that is.
    const { probe } = await import("io-uring-node");
    probe();
    const { Server } = await import("./server.js");
    return await Server.start(configuration, { logger });
  } catch (error) {
    logger.debug({ err: error }, "start failed");
    process.stderr.write(`ringlun: ${(error as Error).message}\n`);
    process.exitCode = EXIT_UNAVAILABLE;
    return undefined;
  }
}

/** The first signal ends everything cleanly, a second one at once. */
function endOnSignal(server: Server, logger: Logger): void {
  let ending = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      if (ending) process.exit(EXIT_UNAVAILABLE);
      ending = true;
      logger.info({ signal }, "ending");
      server.stop().then(
        () => process.exit(0),
        (error) => {
          logger.fatal({ err: error }, "not ended cleanly");
          process.exit(EXIT_UNAVAILABLE);
        },
      );
    });
  }
}

/** Reloads come one after the other; a file with faults changes nothing. */
function reloadOnHangup(server: Server, logger: Logger, file: string): void {
  let last: Promise<void> = Promise.resolve();
  process.on("SIGHUP", () => {
    last = last.then(async () => {
      const result = loadConfiguration(file);
      if (!result.ok) {
        for (const { path, line, message } of result.faults) logger.error({ file, line, path }, message);
        logger.error("configuration not reloaded: it has faults");
        return;
      }
      for (const { path, line, message } of result.warnings) logger.warn({ file, line, path }, message);
      await server.reload(result.configuration);
    });
    last = last.catch((error) => logger.error({ err: error }, "reload failed"));
  });
}

await main(process.argv);

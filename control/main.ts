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
  let configuration: Configuration;
  try {
    configuration = demoConfiguration(process.cwd());
  } catch (error) {
    refuse(error as Error);
    return;
  }
  const logger = createLogger(configuration.log.level);
  if (!hasIPv6Loopback()) logger.warn("this machine has no IPv6: the demo leaves [::1]:3260 out");
  const starting = start(configuration, logger);
  // Its terminal may be closed.
  const ending = endOnSignal(["SIGTERM", "SIGINT", "SIGHUP"], starting, logger);
  const server = await starting;
  if (server === undefined || ending.aborted) return;
  const [portal] = server.portals;
  if (portal !== undefined) {
    process.stdout.write(`connect to iscsi://${formatPortalAddress(portal.address)}/${DEMO_TARGET}/0\n`);
  }
  process.stdout.write("ready\n");
}

async function serve(configuration: Configuration, file: string): Promise<void> {
  const logger = createLogger(configuration.log.level);
  const starting = start(configuration, logger);
  const ending = endOnSignal(["SIGTERM", "SIGINT"], starting, logger);
  reloadOnHangup(starting, logger, file);
  const server = await starting;
  if (server !== undefined && !ending.aborted) process.stdout.write("ready\n");
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
    refuse(error as Error);
    return undefined;
  }
}

function refuse({ message, cause }: Error): void {
  // An addon that cannot be loaded says why in its cause; what the others wrap, they say themselves.
  const reason =
    (cause as { code?: string } | undefined)?.code === "ERR_DLOPEN_FAILED" ? ` (${(cause as Error).message})` : "";
  process.stderr.write(`ringlun: ${message}${reason}\n`);
  process.exitCode = EXIT_UNAVAILABLE;
}

/**
 * The first signal ends everything cleanly, once it has started; a second one at once. What is returned is aborted by the
 * first.
 */
function endOnSignal(
  signals: readonly NodeJS.Signals[],
  starting: Promise<Server | undefined>,
  logger: Logger,
): AbortSignal {
  const ending = new AbortController();
  for (const signal of signals) {
    process.on(signal, () => {
      if (ending.signal.aborted) process.exit(EXIT_UNAVAILABLE);
      ending.abort();
      logger.info({ signal }, "ending");
      starting
        .then((server) => server?.stop())
        .then(
          // 0, unless the start had failed.
          () => process.exit(),
          (error) => {
            logger.fatal({ err: error }, "not ended cleanly");
            process.exit(EXIT_UNAVAILABLE);
          },
        );
    });
  }
  return ending.signal;
}

/** Reloads come one after the other, after the start; a file with faults changes nothing. */
function reloadOnHangup(starting: Promise<Server | undefined>, logger: Logger, file: string): void {
  let last: Promise<unknown> = starting;
  process.on("SIGHUP", () => {
    last = last
      .then(() => starting)
      .then((server) => server && reload(server, logger, file))
      .catch((error) => logger.error({ err: error }, "reload failed"));
  });
}

async function reload(server: Server, logger: Logger, file: string): Promise<void> {
  const result = loadConfiguration(file);
  if (!result.ok) {
    for (const { path, line, message } of result.faults) logger.error({ file, line, path }, message);
    logger.error("configuration not reloaded: it has faults");
    return;
  }
  for (const { path, line, message } of result.warnings) logger.warn({ file, line, path }, message);
  try {
    await server.reload(result.configuration);
  } catch (error) {
    logger.error({ file, reason: (error as Error).message }, "configuration not reloaded: all stays as it was");
  }
}

await main(process.argv);

#!/usr/bin/env node
/**
 * Entry of the program. Exit codes: 0 a clean end, 1 something cannot be had on this machine (its message says what), 2 the
 * configuration or the command line is at fault, 3 a program that serves has refused, 70 a dead shard could not be drained.
 */
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { Command, CommanderError } from "commander";
import { addClientCommands } from "./cli/commands.js";
import { ConfigurationFile } from "./config/configuration-file.js";
import { DEMO_TARGET, demoConfiguration, hasIPv6Loopback } from "./config/demo.js";
import { formatFaults, type LoadResult, loadConfiguration } from "./config/load.js";
import { formatPortalAddress } from "./config/portal-address.js";
import type { Configuration } from "./config/schema.js";
import { createLogger, type Logger } from "./logger.js";
import type { Server } from "./server.js";
import { VERSION } from "./version.js";

const EXIT_UNAVAILABLE = 1;
const EXIT_USAGE = 2;
const SECRET_BYTES = 16;

type Loaded = LoadResult & { readonly ok: true };

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
      const loaded = load(config);
      if (loaded === undefined) process.exitCode = EXIT_USAGE;
      else if (check !== true) await serve(loaded.configuration, new ConfigurationFile(resolve(config), loaded.digest));
    });
  program
    .command("demo")
    .description("serve a demo: a sparse file of 1 GiB under ./demo, to this machine only")
    .action(demo);
  program
    .command("check")
    .description("check a configuration file: exit 2 and every fault with its line, or 0")
    .argument("<file>", "the configuration (YAML)")
    .action((file: string) => {
      if (load(file) === undefined) process.exitCode = EXIT_USAGE;
    });
  program
    .command("secret")
    .description(
      "print a new CHAP secret of 128 random bits (RFC 7143 section 9.2.1), for a secretFile or a configuration",
    )
    .action(() => {
      process.stdout.write(`${randomBytes(SECRET_BYTES).toString("hex")}\n`);
    });
  addClientCommands(program);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end here too, with 0.
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  }
}

/** Undefined where the file is at fault, which has been said then. */
function load(file: string): Loaded | undefined {
  const result = loadConfiguration(file);
  if (!result.ok) {
    process.stderr.write(`${formatFaults(file, result.faults)}\n`);
    return undefined;
  }
  for (const warning of result.warnings) process.stderr.write(`warning: ${formatFaults(file, [warning])}\n`);
  return result;
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

async function serve(configuration: Configuration, configurationFile: ConfigurationFile): Promise<void> {
  const logger = createLogger(configuration.log.level);
  const starting = start(configuration, logger, configurationFile);
  const ending = endOnSignal(["SIGTERM", "SIGINT"], starting, logger);
  reloadOnHangup(starting, logger, configurationFile.path);
  const server = await starting;
  if (server !== undefined && !ending.aborted) process.stdout.write("ready\n");
}

/** Undefined where it cannot be had, which has been said then. */
async function start(
  configuration: Configuration,
  logger: Logger,
  configurationFile?: ConfigurationFile,
): Promise<Server | undefined> {
  try {
    // Loaded here, so that an addon that is missing is told like everything else that is.
    const { probe } = await import("io-uring-node");
    probe();
    const { Server } = await import("./server.js");
    return await Server.start(configuration, {
      logger,
      ...(configurationFile === undefined ? {} : { configurationFile }),
    });
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

/** A file with faults changes nothing. */
function reloadOnHangup(starting: Promise<Server | undefined>, logger: Logger, file: string): void {
  process.on("SIGHUP", async () => {
    const server = await starting;
    if (server === undefined) return;
    try {
      const result = await server.administration.reload();
      const findings = result.ok ? result.warnings : result.faults;
      const level = result.ok ? "warn" : "error";
      for (const { path, line, message } of findings) logger[level]({ file, line, path }, message);
      if (!result.ok) logger.error({ file, reason: result.message }, "configuration not reloaded");
    } catch (error) {
      logger.error({ err: error }, "reload failed");
    }
  });
}

await main(process.argv);

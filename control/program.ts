/** The program that serves, from its start to the signal that ends it. What is ready is said on standard output. */
import type { ConfigurationFile } from "./config/configuration-file.js";
import { DEMO_TARGET, demoConfiguration, hasIPv6Loopback } from "./config/demo.js";
import { formatPortalAddress } from "./config/portal-address.js";
import type { Configuration } from "./config/schema.js";
import { EXIT_UNAVAILABLE } from "./exit-codes.js";
import { createLogger, type Logger } from "./logger.js";
import type { Server } from "./server.js";
import type { Supervisor } from "./supervisor.js";

/** Serves what needs no file. */
export async function demo(): Promise<void> {
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
  if (configuration.http !== null) {
    process.stdout.write(`watch it at http://${formatPortalAddress(configuration.http.listen)}\n`);
  }
  process.stdout.write("ready\n");
}

/** Serves a configuration; SIGHUP has its file read again. */
export async function serve(configuration: Configuration, configurationFile: ConfigurationFile): Promise<void> {
  const logger = createLogger(configuration.log.level);
  const starting = start(configuration, logger, configurationFile);
  const supervising = starting.then((server) => server && supervise(server, logger));
  const ending = endOnSignal(["SIGTERM", "SIGINT"], starting, logger);
  ending.addEventListener("abort", async () => (await supervising)?.stopping());
  reloadOnHangup(starting, supervising, logger, configurationFile.path);
  const supervisor = await supervising;
  if (supervisor === undefined || ending.aborted) return;
  // Not before: until here another process could have been at it.
  void configurationFile.removeLeftovers();
  supervisor.ready();
  process.stdout.write("ready\n");
}

/** Loaded here: it takes the addon, of which `start` has to find out whether it is there. */
async function supervise(server: Server, logger: Logger): Promise<Supervisor> {
  const { Supervisor } = await import("./supervisor.js");
  return Supervisor.fromEnvironment(process.env, server, logger);
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
function reloadOnHangup(
  starting: Promise<Server | undefined>,
  supervising: Promise<Supervisor | undefined>,
  logger: Logger,
  file: string,
): void {
  process.on("SIGHUP", async () => {
    const [server, supervisor] = await Promise.all([starting, supervising]);
    if (server === undefined) return;
    supervisor?.reloading();
    try {
      const result = await server.administration.reload();
      const findings = result.ok ? result.warnings : result.faults;
      const level = result.ok ? "warn" : "error";
      for (const { path, line, message } of findings) logger[level]({ file, line, path }, message);
      if (!result.ok) logger.error({ file, reason: result.message }, "configuration not reloaded");
    } catch (error) {
      logger.error({ err: error }, "reload failed");
    } finally {
      supervisor?.ready();
    }
  });
}

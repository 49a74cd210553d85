#!/usr/bin/env node
/**
 * Entry of the program. Exit codes: 0 a clean end, 1 something cannot be had on this machine (its message says what), 2 the
 * configuration or the command line is at fault, 3 a program that serves has refused, 70 a dead shard could not be drained.
 */
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { Command, CommanderError } from "commander";
import { showOwnOptionsFirst } from "./cli/asking.js";
import { addClientCommands } from "./cli/commands.js";
import { addShellCommands } from "./cli/shell.js";
import { ConfigurationFile } from "./config/configuration-file.js";
import { formatFaults } from "./config/fault.js";
import { type LoadResult, loadConfiguration } from "./config/load.js";
import { YamlReader } from "./config/yaml-reader.js";
import { EXIT_FAULTS, EXIT_UNAVAILABLE } from "./exit-codes.js";
import { demo, serve } from "./program.js";
import { VERSION } from "./version.js";

const SECRET_BYTES = 16;

type Loaded = LoadResult & { readonly ok: true };

/** Whoever reads may stop (`ringlun units | head -1`): what is said then is lost, and whoever serves goes on. */
function outliveReaders(): void {
  process.stdout.on("error", ({ code, message }: NodeJS.ErrnoException) => {
    if (code === "EPIPE") return;
    process.stderr.write(`ringlun: standard output: ${message}\n`);
    process.exitCode = EXIT_UNAVAILABLE;
  });
  process.stderr.on("error", () => {});
}

async function main(argv: readonly string[]): Promise<void> {
  outliveReaders();
  const program = new Command("ringlun")
    .description("An iSCSI target (RFC 7143) whose data plane drives io_uring from TypeScript")
    .version(VERSION)
    .exitOverride();
  showOwnOptionsFirst(program);
  program
    .commandsGroup("To serve:")
    .command("serve")
    .description("serve what a configuration file says, in the foreground; SIGHUP reads it again")
    .requiredOption("-c, --config <file>", "the configuration (YAML)")
    .option("--check", "check the configuration and exit")
    .action(async ({ config, check }: { config: string; check?: boolean }) => {
      const reader = new YamlReader();
      const loaded = load(config, reader);
      if (loaded === undefined) process.exitCode = EXIT_FAULTS;
      else if (check !== true) {
        await serve(loaded.configuration, new ConfigurationFile(resolve(config), loaded.digest, reader));
      }
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
      if (load(file) === undefined) process.exitCode = EXIT_FAULTS;
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
  addShellCommands(program);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version end here too, with 0.
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_FAULTS;
  }
}

/** Undefined where the file is at fault, which has been said then. */
function load(file: string, reader = new YamlReader()): Loaded | undefined {
  const result = loadConfiguration(file, reader);
  if (!result.ok) {
    process.stderr.write(`${formatFaults(file, result.faults)}\n`);
    return undefined;
  }
  for (const warning of result.warnings) process.stderr.write(`warning: ${formatFaults(file, [warning])}\n`);
  return result;
}

await main(process.argv);

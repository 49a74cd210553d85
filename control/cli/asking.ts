/**
 * What the commands have in common that ask, or change, a program that serves. Each prints a table on a terminal and, with --json,
 * what the API has said. Exit codes: 0 done, 1 it cannot be asked or had, or is not done in time, or not in full, 2 what was given has
 * faults, 3 refused: nothing has changed.
 */
import { type Command, Help, InvalidArgumentError } from "commander";
import { nearest } from "../config/nearest.js";
import { EXIT_FAULTS, EXIT_REFUSED, EXIT_UNAVAILABLE } from "../exit-codes.js";
import { printable } from "../printable.js";
import { ANSWER_TIMEOUT_S, Client, ClientError, type ClientOptions, DEFAULT_CONFIGURATION } from "./client.js";
import { httpUrl, wholeNumber } from "./typed-values.js";

/** Over the options that all of these commands have. */
const WHOM_TO_ASK = "Whom to ask, and how:";
const OWN_OPTIONS = "Options:";

const EXIT_CODES =
  "\nExit codes: 0 done, 1 nobody there, or not done in time or in full, 2 what was given has faults, 3 refused: nothing has changed";

export interface GlobalOptions extends ClientOptions {
  readonly json?: boolean;
}

/** A command that asks; what is added to it then is its own. */
export function client(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .optionsGroup(WHOM_TO_ASK)
    .option(
      "-c, --config <file>",
      `configuration of the program to ask (default: $RINGLUN_CONFIG or ${DEFAULT_CONFIGURATION})`,
    )
    .option("--socket <path>", "its UNIX socket")
    .option("--url <url>", "ask over TCP: https://host:9260", httpUrl)
    .option("--ca <file>", "for --url: certificates (PEM) by which the server's is judged, instead of the system's")
    .option("--token-file <file>", "for --url: file that holds the bearer token (default: $RINGLUN_TOKEN)")
    .option("--token <token>", "the token itself, which every user of this machine sees while this runs")
    .option("--wait <seconds>", `for an answer (default: ${ANSWER_TIMEOUT_S})`, wholeNumber)
    .option("--json", "print what the API says")
    .optionsGroup(OWN_OPTIONS)
    .addHelpText("after", EXIT_CODES);
}

/** One that has others below it, and asks something by itself too: what else is typed behind it is meant to be one of those. */
export function clientGroup(parent: Command, name: string, description: string): Command {
  return client(parent, name, description)
    .helpCommand(true)
    .allowExcessArguments()
    .hook("preAction", (command, called) => {
      const [word] = command.args;
      if (called !== command || word === undefined) return;
      const names = command.commands.map((below) => below.name());
      const meant = nearest(word, names);
      const hint = meant === undefined ? `; known: ${names.join(", ")}` : `\n(Did you mean ${meant}?)`;
      command.error(`error: unknown command '${word}'${hint}`);
    });
}

/** Has help show what is a command's own before what all have. To be called before commands are added. */
export function showOwnOptionsFirst(program: Command): void {
  program.configureHelp({
    groupItems(all, visible, groupOf) {
      const groups = Help.prototype.groupItems(all, visible, groupOf);
      const common = groups.get(WHOM_TO_ASK);
      if (common === undefined) return groups;
      groups.delete(WHOM_TO_ASK);
      return groups.set(WHOM_TO_ASK, common);
    },
  });
}

type Action<Options> = (asker: Client, options: Options, ...args: never[]) => Promise<void>;

/** commander gives arguments first, then options, then the command. */
export function run<Options extends GlobalOptions>(action: Action<Options>) {
  return async (...given: unknown[]): Promise<void> => {
    const command = given.at(-1) as Command;
    const args = given.slice(0, -2);
    // `ringlun sessions --json end 5` means the same as `ringlun sessions end 5 --json`.
    const options = command.optsWithGlobals() as Options;
    try {
      await action(new Client(options), options, ...(args as never[]));
    } catch (error) {
      if (error instanceof InvalidArgumentError) command.error(`error: ${error.message}`);
      if (!(error instanceof ClientError)) throw error;
      fail(error, options);
    }
  };
}

function fail({ message, statusCode, document }: ClientError, { json }: GlobalOptions): void {
  if (json) print(`${JSON.stringify(document ?? { message }, null, 2)}\n`);
  process.stderr.write(`ringlun: ${printable(message)}\n`);
  process.exitCode = exitCodeOf(statusCode);
}

/** 0: there was no answer. */
function exitCodeOf(statusCode: number): number {
  if (statusCode === 0 || statusCode >= 500) return EXIT_UNAVAILABLE;
  return statusCode === 400 ? EXIT_FAULTS : EXIT_REFUSED;
}

export function print(text: string): void {
  process.stdout.write(text);
}

export function show<T>(options: GlobalOptions, document: T, text: (document: T) => string): void {
  print(options.json ? `${JSON.stringify(document, null, 2)}\n` : text(document));
}

/**
 * What the commands have in common that ask, or change, a program that serves. Each prints a table on a terminal and, with --json,
 * what the API has said. Exit codes: 0 done, 1 it cannot be asked or had, 2 what was given has faults, 3 refused.
 */
import { type Command, InvalidArgumentError } from "commander";
import { printable } from "../printable.js";
import { ANSWER_TIMEOUT_S, Client, ClientError, type ClientOptions, DEFAULT_CONFIGURATION } from "./client.js";

const EXIT_UNAVAILABLE = 1;
const EXIT_FAULTS = 2;
const EXIT_REFUSED = 3;

const EXIT_CODES = "\nExit codes: 0 done, 1 nobody there, or no answer, 2 what was given has faults, 3 refused";

export interface GlobalOptions extends ClientOptions {
  readonly json?: boolean;
}

export function client(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
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
    .addHelpText("after", EXIT_CODES);
}

function httpUrl(text: string): string {
  if (!URL.canParse(text) || !/^https?:/i.test(text)) {
    throw new InvalidArgumentError("https:// or http://, host and port are wanted");
  }
  return text;
}

export function wholeNumber(text: string): number {
  if (!/^[1-9][0-9]*$/.test(text)) throw new InvalidArgumentError("a whole number is wanted");
  return Number(text);
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
  process.exitCode = statusCode === 0 ? EXIT_UNAVAILABLE : statusCode === 400 ? EXIT_FAULTS : EXIT_REFUSED;
}

export function print(text: string): void {
  process.stdout.write(text);
}

export function show<T>(options: GlobalOptions, document: T, text: (document: T) => string): void {
  print(options.json ? `${JSON.stringify(document, null, 2)}\n` : text(document));
}

/** The manual page, ringlun(8), in the macros of man(7): made from what --help says, and what help has no place for. */
import type { Argument, Option } from "commander";
import { type CommandNode, everyCommand } from "./command-tree.js";

const EXIT_STATUS: readonly (readonly [string, string])[] = [
  ["0", "A clean end."],
  ["1", "Something cannot be had: io_uring, the address of a portal, a file that is in use, the program to ask."],
  ["2", "The configuration or the command line is at fault; every fault is told with its line."],
  ["3", "The program that serves has refused."],
  ["70", "A shard that died could not be cleaned up after. Start it again; any supervisor does."],
];

const SIGNALS: readonly (readonly [string, string])[] = [
  [
    "SIGTERM, SIGINT",
    "Sessions are told, what was written is made durable, and the program ends. A second one ends it at once.",
  ],
  ["SIGHUP", "The configuration is read again, and put in force as a whole or not at all."],
];

const FILES: readonly (readonly [string, string])[] = [
  ["/etc/ringlun/ringlun.yaml", "The configuration of the program that is asked, where nothing else is said."],
  [
    "CONFIGURATION.state",
    "What must survive a restart, beside the configuration; stateDir in it names another folder.",
  ],
  ["CONFIGURATION.state/api.sock", "Where the program is asked; api.socket in the configuration names another path."],
];

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ["RINGLUN_CONFIG", "The configuration of the program that is asked."],
  ["RINGLUN_TOKEN", "The bearer token for --url."],
  [
    "NOTIFY_SOCKET, WATCHDOG_USEC",
    "Set by systemd: it is told of start, reload and end, and that the program and all of its shards live.",
  ],
];

/** An option that so many commands have is described once for all of them. */
const COMMON_MIN = 3;

export function manualPage(root: CommandNode, version: string): string {
  const commands = everyCommand(root).slice(1);
  const common = commonOptions(commands);
  return [
    `.TH ${root.name.toUpperCase()} 8 "" "${root.name} ${version}" "System Administration"`,
    `.SH NAME\n${root.name} \\- ${text(root.description)}`,
    `.SH SYNOPSIS\n.B ${root.name}\n.I command\n.RI [ options ]`,
    `.SH COMMANDS\n${commands.map((node) => commandText(node, common)).join("\n")}`,
    `.SH COMMON OPTIONS\n${[...common.values()].map(optionText).join("\n")}`,
    `.SH OPTIONS\n${root.options.map(optionText).join("\n")}`,
    `.SH EXIT STATUS\n${list(EXIT_STATUS)}`,
    `.SH SIGNALS\n${list(SIGNALS)}`,
    `.SH ENVIRONMENT\n${list(ENVIRONMENT)}`,
    `.SH FILES\n${list(FILES)}`,
    `.SH SEE ALSO\n${text("Every key of the configuration: docs/CONFIGURATION.md in the package.")}\n`,
  ].join("\n");
}

/** By their flags. */
function commonOptions(commands: readonly CommandNode[]): ReadonlyMap<string, Option> {
  const options = commands.flatMap((node) => node.options);
  const isCommon = (option: Option) => options.filter((other) => isSame(option, other)).length >= COMMON_MIN;
  return new Map(options.filter(isCommon).map((option) => [option.flags, option]));
}

function isSame(one: Option, other: Option | undefined): boolean {
  return one.flags === other?.flags && one.description === other.description;
}

function commandText(node: CommandNode, common: ReadonlyMap<string, Option>): string {
  const subject = [...node.path.slice(1), ...node.arguments.map(synopsis)].join(" ");
  const described = node.arguments.filter(({ description }) => description !== "");
  const own = node.options.filter((option) => !isSame(option, common.get(option.flags)));
  const others = node.options.filter((option) => !own.includes(option) && option.long !== "--help");
  return [
    `.SS ${text(subject)}`,
    text(sentence(node.description)),
    ...described.map((argument) => `.TP\n.I ${text(argument.name())}\n${text(sentence(argument.description))}`),
    ...own.map(optionText),
    ...(others.length === 0 ? [] : [`.PP\n${text(`Common options: ${others.map(({ long }) => long).join(", ")}.`)}`]),
  ].join("\n");
}

function synopsis(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function optionText({ flags, description, argChoices, defaultValue }: Option): string {
  const more = [
    ...(argChoices === undefined ? [] : [`one of ${argChoices.join(", ")}`]),
    ...(`${defaultValue ?? ""}` === "" ? [] : [`default: ${defaultValue}`]),
  ];
  const meaning = more.length === 0 ? description : `${description} (${more.join("; ")})`;
  return `.TP\n.B ${text(flags)}\n${text(sentence(meaning))}`;
}

function list(entries: readonly (readonly [string, string])[]): string {
  return entries.map(([name, meaning]) => `.TP\n.B ${text(name)}\n${text(meaning)}`).join("\n");
}

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

/** As roff has it: no escape, no request at the start of a line, and the hyphens of options as they are typed. */
function text(words: string): string {
  return words
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^(?=[.'])/gm, "\\&");
}

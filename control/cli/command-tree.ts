/** The commands as they can be typed, for what is generated from them: completion for shells, and the manual page. */
import type { Argument, Command, Option } from "commander";

export interface CommandNode {
  /** `["ringlun", "sessions", "end"]` */
  readonly path: readonly string[];
  readonly name: string;
  readonly description: string;
  /** With --help, and --version at the root. */
  readonly options: readonly Option[];
  readonly arguments: readonly Argument[];
  /** Without `help`. */
  readonly commands: readonly CommandNode[];
}

export function commandTree(command: Command, above: readonly string[] = []): CommandNode {
  const path = [...above, command.name()];
  const help = command.createHelp();
  const below = help.visibleCommands(command).filter((other) => other.name() !== "help");
  return {
    path,
    name: command.name(),
    description: command.description(),
    options: help.visibleOptions(command),
    arguments: command.registeredArguments,
    commands: below.map((other) => commandTree(other, path)),
  };
}

/** The node and all below it, in the order in which help shows them. */
export function everyCommand(node: CommandNode): CommandNode[] {
  return [node, ...node.commands.flatMap(everyCommand)];
}

/** `-c`, `--config` */
export function flagsOf({ short, long }: Option): string[] {
  return [short, long].filter((flag) => flag !== undefined);
}

/** What may stand where a value is wanted. */
export type Values =
  | { readonly kind: "none" }
  | { readonly kind: "files" }
  | { readonly kind: "words"; readonly words: readonly string[] }
  /** Nothing that a shell could know. */
  | { readonly kind: "anything" };

const FILES = /^(?:file|path|folder)$/;

export function valuesOf(wanted: Option | Argument): Values {
  const words = wanted.argChoices;
  if (words !== undefined) return { kind: "words", words };
  const name = "flags" in wanted ? /[<[](.+?)[>\]]/.exec(wanted.flags)?.[1] : wanted.name();
  if (name === undefined) return { kind: "none" };
  return FILES.test(name) ? { kind: "files" } : { kind: "anything" };
}

/** Completion of the command line for bash, zsh and fish: scripts that know the commands, so that Tab starts no program. */
import type { Option } from "commander";
import { type CommandNode, everyCommand, flagsOf, type Values, valuesOf } from "./command-tree.js";

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

export function completionScript(shell: Shell, root: CommandNode): string {
  switch (shell) {
    case "bash":
      return bashScript(root);
    case "zsh":
      return zshScript(root);
    case "fish":
      return fishScript(root);
  }
}

/** In single quotes, for any of the three. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function wantsValue(option: Option): boolean {
  return option.required || option.optional;
}

/** What may stand at the command's first argument, beside its options. */
function argumentValues(node: CommandNode): Values {
  const [first] = node.arguments;
  return first === undefined ? { kind: "none" } : valuesOf(first);
}

// ---- bash

function bashScript(root: CommandNode): string {
  const commands = everyCommand(root);
  return `# Completion of ${root.name} for bash. To have it: source <(${root.name} completion bash)
_${root.name}() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} at=${root.name} i
  COMPREPLY=()
  # bash takes --option=value for three words.
  if [[ $current == = ]]; then
    current=
  elif [[ $before == = ]]; then
    before=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
${commands
  .slice(1)
  .map(({ path }) => `      ${quoted(path.join(" "))}) at=${quoted(path.join(" "))} ;;\n`)
  .join("")}    esac
  done
  case "$at $before" in
${commands.flatMap(bashValues).join("")}  esac
  case $at in
${commands.map(bashWords).join("")}  esac
}
complete -F _${root.name} ${root.name}
`;
}

function bashValues({ path, options }: CommandNode): string[] {
  return options.filter(wantsValue).map((option) => {
    const patterns = flagsOf(option).map((flag) => quoted(`${path.join(" ")} ${flag}`));
    return `    ${patterns.join(" | ")}) ${bashReply(valuesOf(option), []) || ":"}; return ;;\n`;
  });
}

function bashWords(node: CommandNode): string {
  // A short flag is typed sooner than completed.
  const words = [
    ...node.commands.map(({ name }) => name),
    ...node.options.flatMap((option) => flagsOf(option).slice(-1)),
  ];
  return `    ${quoted(node.path.join(" "))}) ${bashReply(argumentValues(node), words)} ;;\n`;
}

function bashReply(values: Values, words: readonly string[]): string {
  const all = values.kind === "words" ? [...values.words, ...words] : words;
  const generators = [
    ...(all.length > 0 ? [`compgen -W ${quoted(all.join(" "))} -- "$current"`] : []),
    ...(values.kind === "files" ? ['compgen -f -- "$current"'] : []),
  ];
  if (generators.length === 0) return "";
  const isFiles = values.kind === "files" ? "compopt -o filenames 2> /dev/null; " : "";
  return `${isFiles}mapfile -t COMPREPLY < <(${generators.join("; ")})`;
}

// ---- zsh

function zshScript(root: CommandNode): string {
  return `#compdef ${root.name}
# Completion of ${root.name} for zsh. To have it: ${root.name} completion zsh > a folder of $fpath/_${root.name}
${everyCommand(root).map(zshFunction).join("")}
if [[ $funcstack[1] == _${root.name} ]]; then
  _${root.name} "$@"
else
  compdef _${root.name} ${root.name}
fi
`;
}

const zshName = ({ path }: CommandNode) => `_${path.join("_").replaceAll("-", "_")}`;

function zshFunction(node: CommandNode): string {
  const specifications = node.options.map(zshOption);
  if (node.commands.length === 0) {
    for (const argument of node.arguments) {
      // Nothing, rather than a message, beside which no option would be inserted.
      const action = zshAction(valuesOf(argument), "()");
      specifications.push(quoted(`:${zshText(argument.name())}:${action}`));
    }
    return `
${zshName(node)}() {
  _arguments -s${specifications.map((text) => ` \\\n    ${text}`).join("")}
}
`;
  }
  const below = node.commands.map((it) => quoted(`${it.name}:${it.description}`));
  const calls = node.commands.map((it) => `        ${it.name}) ${zshName(it)} ;;\n`);
  return `
${zshName(node)}() {
  local context state state_descr line
  typeset -A opt_args
  _arguments -s -C${specifications.map((text) => ` \\\n    ${text}`).join("")} \\
    '1: :->command' '*:: :->rest' && return
  case $state in
    command)
      local -a commands=(${below.join(" ")})
      _describe command commands
      ;;
    rest)
      case $words[1] in
${calls.join("")}      esac
      ;;
  esac
}
`;
}

function zshOption(option: Option): string {
  const flags = flagsOf(option);
  const value = wantsValue(option) ? `:value:${zshAction(valuesOf(option), " ")}` : "";
  const rest = quoted(`[${zshText(option.description)}]${value}`);
  return flags.length === 1 ? `${flags[0]}${rest}` : `${quoted(`(${flags.join(" ")})`)}{${flags.join(",")}}${rest}`;
}

/** `unknown`: where a shell can know nothing. */
function zshAction(values: Values, unknown: string): string {
  if (values.kind === "files") return "_files";
  return values.kind === "words" ? `(${values.words.join(" ")})` : unknown;
}

/** What ends a part of a specification must not stand in it. */
function zshText(text: string): string {
  return text.replace(/[[\]:\\]/g, "\\$&");
}

// ---- fish

function fishScript(root: CommandNode): string {
  const commands = everyCommand(root);
  const at = `__${root.name}_at`;
  return `# Completion of ${root.name} for fish. To have it: ${root.name} completion fish > ~/.config/fish/completions/${root.name}.fish
function ${at}
    set -l at ${root.name}
    for word in (commandline -opc)[2..-1]
        switch "$at $word"
            case ${commands
              .slice(1)
              .map(({ path }) => quoted(path.join(" ")))
              .join(" ")}
                set at "$at $word"
        end
    end
    test "$at" = "$argv"
end
complete -c ${root.name} -f
${commands.flatMap((node) => fishLines(root.name, at, node)).join("")}`;
}

function fishLines(program: string, at: string, node: CommandNode): string[] {
  const start = `complete -c ${program} -n ${quoted(`${at} ${node.path.join(" ")}`)}`;
  const lines = node.commands.map((it) => `${start} -a ${it.name} -d ${fishText(it.description)}\n`);
  for (const option of node.options) {
    const flags = flagsOf(option).map((flag) =>
      flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
    );
    const value = wantsValue(option) ? fishValues(valuesOf(option)) || " -x" : "";
    lines.push(`${start} ${flags.join(" ")}${value} -d ${fishText(option.description)}\n`);
  }
  const values = fishValues(argumentValues(node));
  if (values !== "") lines.push(`${start}${values}\n`);
  return lines;
}

function fishValues(values: Values): string {
  if (values.kind === "files") return " -r -F";
  return values.kind === "words" ? ` -x -a ${quoted(values.words.join(" "))}` : "";
}

/** In fish's single quotes a backslash before a quote or another backslash is none. */
function fishText(text: string): string {
  return `'${text.replace(/['\\]/g, "\\$&")}'`;
}

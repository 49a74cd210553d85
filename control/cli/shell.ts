/** The commands that tell shells and readers of manuals which commands there are. */
import { Argument, type Command } from "commander";
import { VERSION } from "../version.js";
import { commandTree } from "./command-tree.js";
import { completionScript, SHELLS, type Shell } from "./completion.js";
import { manualPage } from "./manual.js";

export function addShellCommands(program: Command): void {
  program
    .commandsGroup("For shells and readers:")
    .command("completion")
    .description("print the completion of this command line for a shell: source <(ringlun completion bash)")
    .addArgument(new Argument("<shell>", "whose").choices(SHELLS))
    .action((shell: Shell) => {
      process.stdout.write(completionScript(shell, commandTree(program)));
    });
  program
    .command("manual")
    .description("print the manual page: ringlun manual | man -l -")
    .action(() => {
      process.stdout.write(manualPage(commandTree(program), VERSION));
    });
  program.helpCommand("help [command]", "what --help says of it");
}

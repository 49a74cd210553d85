/**
 * `ringlun drain`: takes a portal, a portal group or a target out of service and shows how far that comes, until nothing is left there
 * or the time is over. Exit codes as for all commands; 1 also where something is left.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { ISCSI_PORT } from "../config/portal-address.js";
import { EXIT_UNAVAILABLE } from "../exit-codes.js";
import type { DrainDocument } from "../http/drain-routes.js";
import { DRAIN_OVERTIME_MS, DRAIN_TIMEOUT_DEFAULT_S, DRAIN_TIMEOUT_MAX_S } from "../limits.js";
import { mapName } from "../stringprep.js";
import { client, clientGroup, type GlobalOptions, print, run, show } from "./asking.js";
import { type Client, ClientError } from "./client.js";
import { isScreen, lineLengthMax } from "./screen.js";
import { type Column, table } from "./table.js";
import { wholeNumber } from "./typed-values.js";

interface DrainOptions extends GlobalOptions {
  readonly timeout: number;
  readonly undo?: boolean;
}

type Scope = Pick<DrainDocument, "portal" | "portalGroup" | "target">;

const POLL_MS = 500;
const REWRITE = "\r\x1b[K";

export function addDrainCommand(program: Command): void {
  const drain = clientGroup(
    program,
    "drain",
    "what is out of service; or take something out of it, before maintenance",
  ).action(run(showDrains));
  const kinds: [name: string, argument: string, description: string, scopeOf: (text: string) => Scope][] = [
    ["portal", "<address>", "a portal, as it listens: 192.0.2.1:3260", (portal) => ({ portal })],
    ["group", "<tag>", "all portals of a portal group", (tag) => ({ portalGroup: tagOf(tag) })],
    ["target", "<name>", "a target, at all portals", (target) => ({ target })],
  ];
  for (const [name, argument, description, scopeOf] of kinds) {
    client(drain, name, description)
      .argument(argument)
      .option("--timeout <seconds>", "that initiators are given to log out in", timeoutOf, DRAIN_TIMEOUT_DEFAULT_S)
      .option("--undo", "put it in service again")
      .action(
        run((asker: Client, options: DrainOptions, text: string) =>
          options.undo === true ? undo(asker, options, scopeOf(text)) : begin(asker, options, scopeOf(text)),
        ),
      );
  }
}

function tagOf(text: string): number {
  if (!/^[0-9]{1,5}$/.test(text)) throw new ClientError(`${text} is no tag of a portal group: write a number`, 400);
  return Number(text);
}

function timeoutOf(text: string): number {
  const seconds = wholeNumber(text);
  if (seconds > DRAIN_TIMEOUT_MAX_S) throw new InvalidArgumentError(`${DRAIN_TIMEOUT_MAX_S} at most`);
  return seconds;
}

const COLUMNS: readonly Column<DrainDocument>[] = [
  { title: "WHAT", value: nameOf },
  { title: "STATE", value: ({ state }) => state },
  { title: "SINCE", value: ({ startedAt }) => startedAt },
  { title: "LEFT", value: ({ connections }) => String(connections), right: true },
  { title: "LOGGED OUT", value: ({ loggedOut }) => String(loggedOut), right: true },
  { title: "DROPPED", value: ({ dropped }) => String(dropped), right: true },
];

async function showDrains(asker: Client, options: GlobalOptions): Promise<void> {
  const drains = (await asker.ask("/api/v1/drains")) as DrainDocument[];
  show(options, drains, (them) => table(them, COLUMNS));
}

async function begin(asker: Client, options: DrainOptions, scope: Scope): Promise<void> {
  const body = JSON.stringify({ ...scope, timeout: options.timeout });
  let drain = (await asker.ask("/api/v1/drains", { method: "POST", type: "application/json", body })) as DrainDocument;
  const deadline = Date.now() + options.timeout * 1000 + DRAIN_OVERTIME_MS;
  process.once("SIGINT", () => {
    process.stderr.write("\nringlun: the drain goes on: ringlun drain shows it, --undo ends it\n");
    process.exit(EXIT_UNAVAILABLE);
  });
  const progress = new ProgressLine(options.json !== true);
  progress.show(progressText(drain));
  while (drain.state !== "drained" && Date.now() < deadline) {
    await sleep(POLL_MS);
    drain = (await asker.ask(`/api/v1/drains/${drain.drainId}`)) as DrainDocument;
    progress.show(progressText(drain));
  }
  progress.end();
  if (options.json) show(options, drain, progressText);
  if (drain.state !== "drained") process.exitCode = EXIT_UNAVAILABLE;
}

async function undo(asker: Client, options: DrainOptions, scope: Scope): Promise<void> {
  const drains = (await asker.ask("/api/v1/drains")) as DrainDocument[];
  const wanted = Object.entries(scope) as [keyof Scope, string | number][];
  const found = drains.find((drain) => wanted.every(([key, value]) => sameName(drain[key], value)));
  if (found === undefined) throw new ClientError("it is not drained: there is nothing to undo", 404);
  const undone = (await asker.ask(`/api/v1/drains/${found.drainId}`, { method: "DELETE" })) as DrainDocument;
  show(options, undone, (it) => `${nameOf(it)} is in service again\n`);
}

/** The port goes without saying where it is that of iSCSI, and names however they are written. */
function sameName(one: string | number | undefined, other: string | number): boolean {
  const name = mapName(String(other));
  return String(one) === name || one === `${name}:${ISCSI_PORT}`;
}

function nameOf({ portal, portalGroup, target }: DrainDocument): string {
  if (portal !== undefined) return `portal ${portal}`;
  return portalGroup === undefined ? `target ${target}` : `portal group ${portalGroup}`;
}

function progressText(drain: DrainDocument): string {
  const { state, found, connections, loggedOut, dropped, lost } = drain;
  return `${nameOf(drain)} ${state}: ${connections} of ${found} connections left, ${loggedOut} logged out, ${dropped} dropped, ${lost} lost`;
}

/** On a terminal one line that changes, as much of it as there is room for until the end; elsewhere a line for each change. */
class ProgressLine {
  readonly #isShown: boolean;
  #last = "";

  constructor(isShown: boolean) {
    this.#isShown = isShown;
  }

  show(text: string): void {
    if (!this.#isShown || text === this.#last) return;
    print(isScreen(process.stdout) ? `${REWRITE}${text.slice(0, lineLengthMax() - 1)}` : `${text}\n`);
    this.#last = text;
  }

  end(): void {
    if (this.#isShown && isScreen(process.stdout)) print(`${REWRITE}${this.#last}\n`);
  }
}

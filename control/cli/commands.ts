/** The commands that ask or change a program that serves: those that are small, and the list of all. */
import { readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { resolve } from "node:path";
import { Argument, type Command } from "commander";
import type * as z from "zod";
import { systemReason } from "../config/named-files.js";
import { LOG_LEVELS } from "../config/schema.js";
import type * as documents from "../http/documents.js";
import { STATISTICS_INTERVAL_MAX_S, STATISTICS_INTERVAL_MIN_S } from "../limits.js";
import { client, clientGroup, type GlobalOptions, print, run, show } from "./asking.js";
import { addCaptureCommand } from "./capture.js";
import { change } from "./changes.js";
import { type Client, ClientError } from "./client.js";
import { addDrainCommand } from "./drain.js";
import { addInitiatorCommands } from "./initiator-commands.js";
import { isScreen } from "./screen.js";
import { bytes, type Column, duration, table } from "./table.js";
import { seconds, wholeNumber } from "./typed-values.js";
import { addUnitCommands } from "./unit-commands.js";

type Status = z.output<typeof documents.status>;
type Unit = z.output<typeof documents.unit>;
type Session = z.output<typeof documents.session>;
type Statistics = z.output<typeof documents.statistics>;

const interval = seconds(STATISTICS_INTERVAL_MIN_S, STATISTICS_INTERVAL_MAX_S);

export function addClientCommands(program: Command): void {
  program.commandsGroup("To ask, or change, what serves:");
  client(program, "status", "what there is now").action(run(showStatus));
  const sessions = clientGroup(program, "sessions", "who is logged in").action(run(showSessions));
  client(sessions, "end", "end a session with all its connections; its initiator may log in again")
    .argument("<id>", "as `ringlun sessions` shows it", wholeNumber)
    .action(run(endSession));
  client(sessions, "negotiate", "ask a session's initiator to negotiate anew, as what its target declares has changed")
    .argument("<id>", "as `ringlun sessions` shows it", wholeNumber)
    .action(run(negotiateSession));
  addUnitCommands(clientGroup(program, "units", "logical units").action(run(showUnits)));
  client(program, "top", "rates and latencies of units and sessions, live")
    .option("-i, --interval <seconds>", "between two looks", interval, 1)
    .option("-n, --count <looks>", "end after so many", wholeNumber)
    .action(run(top));
  client(program, "diff", "what a configuration file would change, and what that takes")
    .requiredOption("-f, --file <file>", "the configuration")
    .action(run((asker, options: GlobalOptions & { file: string }) => apply(asker, options, true)));
  client(program, "apply", "put a configuration file in force; it takes the place of the one that is")
    .requiredOption("-f, --file <file>", "the configuration")
    .action(run((asker, options: GlobalOptions & { file: string }) => apply(asker, options, false)));
  client(program, "reload", "read the configuration file again").action(run(reload));
  addDrainCommand(program);
  client(program, "log-level", "what is logged; with a level, log that from now on")
    .addArgument(new Argument("[level]", "this one and the graver ones").choices(LOG_LEVELS))
    .action(run(logLevel));
  addCaptureCommand(program);
  program.commandsGroup("To ask any target:");
  addInitiatorCommands(program);
}

// ---- looking

async function showStatus(asker: Client, options: GlobalOptions): Promise<void> {
  const status = (await asker.ask("/api/v1/status")) as Status;
  show(options, status, (it) => {
    const serving = it.shards.filter((shard) => shard.serving).length;
    const restarts = it.shards.reduce((sum, shard) => sum + shard.restarts, 0);
    const connections = it.sessions.reduce((sum, session) => sum + session.connections.length, 0);
    return [
      `ringlun ${it.version}, ${it.ready ? "ready" : "NOT READY"}, since ${it.startedAt}`,
      `portals   ${it.portals.map(portalText).join(", ")}`,
      `shards    ${serving} of ${it.shards.length} serve, ${restarts} restarts`,
      `targets   ${it.targets.length}`,
      `units     ${it.units.length}`,
      `sessions  ${it.sessions.length}, with ${connections} connections`,
      "",
    ].join("\n");
  });
}

function portalText({ portalGroupTag, address, state }: Status["portals"][number]): string {
  return `${address} (group ${portalGroupTag}${state === "serving" ? "" : `, ${state}`})`;
}

const SESSION_COLUMNS: readonly Column<Session>[] = [
  { title: "ID", value: ({ sessionId }) => String(sessionId), right: true },
  { title: "INITIATOR", value: ({ initiatorName }) => initiatorName },
  { title: "TARGET", value: ({ targetName }) => targetName ?? "(discovery)" },
  { title: "SHARD", value: ({ shard }) => String(shard ?? "-"), right: true },
  { title: "USER", value: ({ user }) => user ?? "-" },
  { title: "PEERS", value: ({ connections }) => connections.map(({ peer }) => peer).join(" ") },
];

async function showSessions(asker: Client, options: GlobalOptions): Promise<void> {
  const sessions = (await asker.ask("/api/v1/sessions")) as Session[];
  show(options, sessions, (them) => table(them, SESSION_COLUMNS));
}

const UNIT_COLUMNS: readonly Column<Unit>[] = [
  { title: "NAME", value: ({ name }) => name },
  { title: "KIND", value: ({ kind }) => kind },
  { title: "SIZE", value: ({ sizeBytes }) => bytes(sizeBytes), right: true },
  { title: "BLOCK", value: ({ blockLengthBytes }) => String(blockLengthBytes), right: true },
  { title: "CACHE", value: ({ cache }) => cache },
  {
    title: "FLAGS",
    value: ({ readOnly, thin }) => [readOnly && "read-only", thin && "thin"].filter(Boolean).join(" "),
  },
  { title: "ID", value: ({ uuid }) => uuid },
];

async function showUnits(asker: Client, options: GlobalOptions): Promise<void> {
  const units = (await asker.ask("/api/v1/units")) as Unit[];
  show(options, units, (them) => table(them, UNIT_COLUMNS));
}

type Rated = Statistics["units"][number] | Statistics["sessions"][number];

const RATE_COLUMNS: readonly Column<Rated>[] = [
  { title: "READ/S", value: ({ reads }) => reads.toFixed(0), right: true },
  { title: "WRITE/S", value: ({ writes }) => writes.toFixed(0), right: true },
  { title: "READ", value: ({ readBytes }) => `${bytes(Math.round(readBytes))}/s`, right: true },
  { title: "WRITE", value: ({ writtenBytes }) => `${bytes(Math.round(writtenBytes))}/s`, right: true },
  { title: "DEPTH", value: ({ inFlight }) => String(inFlight), right: true },
  { title: "R P50", value: ({ readLatency }) => duration(readLatency?.p50), right: true },
  { title: "R P99", value: ({ readLatency }) => duration(readLatency?.p99), right: true },
  { title: "W P50", value: ({ writeLatency }) => duration(writeLatency?.p50), right: true },
  { title: "W P99", value: ({ writeLatency }) => duration(writeLatency?.p99), right: true },
  { title: "ERR/S", value: ({ errors }) => errors.toFixed(0), right: true },
];

const TOP_UNITS = [{ title: "UNIT", value: (row: Rated) => ("name" in row ? row.name : "") }, ...RATE_COLUMNS];
const TOP_SESSIONS = [
  { title: "SESSION", value: (row: Rated) => ("sessionId" in row ? `${row.sessionId} ${row.initiatorName}` : "") },
  ...RATE_COLUMNS,
];

const CLEAR = "\x1b[H\x1b[2J";

async function top(
  asker: Client,
  { json, interval, count }: GlobalOptions & { interval: number; count?: number },
): Promise<void> {
  const ending = new AbortController();
  process.once("SIGINT", () => ending.abort());
  process.stdout.once("error", () => ending.abort());
  const path = `/api/v1/statistics?interval=${interval}`;
  let looks = 0;
  try {
    const events = await asker.stream(path, { signal: ending.signal });
    for await (const look of looksOf(events)) {
      print(json ? `${JSON.stringify(look)}\n` : topText(look));
      if (++looks === count) return;
    }
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  }
  if (!ending.signal.aborted) throw new ClientError("the program tells no more: it has ended");
  // Behind the ^C that the terminal has shown.
  if (process.stdout.isTTY) print("\n");
}

async function* looksOf(events: IncomingMessage): AsyncGenerator<Statistics> {
  let rest = "";
  try {
    for await (const part of events.setEncoding("utf8")) {
      const lines = `${rest}${part}`.split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (line.startsWith("data: ")) yield JSON.parse(line.slice("data: ".length));
    }
  } catch (error) {
    // Broken off is ended, too.
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET") throw error;
  }
}

/** On a terminal as much of it as there is room for, those that are busiest first. */
function topText({ at, units, sessions }: Statistics): string {
  const isAll = !isScreen(process.stdout);
  // The time, a line between the tables, and the cursor's.
  const linesMax = isAll ? Number.POSITIVE_INFINITY : ((process.stdout.rows || 24) - 3) >> 1;
  const [unitTable, sessionTable] = [
    firstLines(table(busiest(units), TOP_UNITS), linesMax),
    firstLines(table(busiest(sessions), TOP_SESSIONS), linesMax),
  ];
  return `${isAll ? "" : CLEAR}${at}\n${unitTable}\n${sessionTable}`;
}

const busiest = (rows: readonly Rated[]): Rated[] =>
  [...rows].sort((a, b) => b.reads + b.writes - (a.reads + a.writes));

const firstLines = (text: string, count: number): string =>
  text
    .split(/(?<=\n)/)
    .slice(0, count)
    .join("");

// ---- changing

async function endSession(asker: Client, options: GlobalOptions, id: number): Promise<void> {
  const result = (await asker.ask(`/api/v1/sessions/${id}`, { method: "DELETE" })) as z.output<typeof documents.ended>;
  show(options, result, ({ ended }) => (ended ? `session ${id} has ended\n` : `session ${id} has not ended yet\n`));
}

async function negotiateSession(asker: Client, options: GlobalOptions, id: number): Promise<void> {
  const path = `/api/v1/sessions/${id}/negotiate`;
  const result = (await asker.ask(path, { method: "POST" })) as z.output<typeof documents.asked>;
  show(options, result, ({ asked }) =>
    asked > 0 ? `session ${id} is asked\n` : `session ${id} has no connection over which it could be asked\n`,
  );
}

async function apply(asker: Client, options: GlobalOptions & { file: string }, dryRun: boolean): Promise<void> {
  const { file } = options;
  let body: Uint8Array;
  try {
    body = readFileSync(file);
  } catch (error) {
    throw new ClientError(`${resolve(file)} cannot be read: ${systemReason(error)}`, 400);
  }
  const path = `/api/v1/config?dryRun=${dryRun}`;
  await change(options, file, () => asker.ask(path, { method: "PUT", type: "application/yaml", body }));
}

async function reload(asker: Client, options: GlobalOptions): Promise<void> {
  await change(options, asker.configurationName, () => asker.ask("/api/v1/config/reload", { method: "POST" }));
}

async function logLevel(asker: Client, options: GlobalOptions, level?: string): Promise<void> {
  const result = await asker.ask(
    "/api/v1/log",
    level === undefined ? {} : { method: "PUT", type: "application/json", body: JSON.stringify({ level }) },
  );
  show(options, result as z.output<typeof documents.logLevel>, (it) => `${it.level}\n`);
}

/**
 * `ringlun discover` and `ringlun ping`: what any iSCSI target has, and how soon it answers. They ask no program that serves; exit codes:
 * 0 all answered, 1 nobody there or answers lost, 2 what was given has faults, 3 refused.
 */
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError } from "commander";
import { SENSE_KEY_NAMES } from "../../dataplane/scsi/sense-key-names.js";
import { readSecretFile } from "../config/named-files.js";
import { formatPortalAddress, ISCSI_PORT, type PortalAddress, parsePortalAddress } from "../config/portal-address.js";
import { Secret } from "../config/secret.js";
import { EXIT_REFUSED, EXIT_UNAVAILABLE } from "../exit-codes.js";
import type { InitiatorError } from "../initiator/initiator-error.js";
import type { LoginWish } from "../initiator/login.js";
import type { DiscoveredTarget, Readiness } from "../initiator/requests.js";
import type { ChapCredential } from "../login/chap.js";
import { printable } from "../printable.js";
import { print } from "./asking.js";
import { type Column, duration, table } from "./table.js";
import { lunNumber, seconds, wholeNumber } from "./typed-values.js";

const SECRET_LENGTH_MAX_BYTES = 1024;
const ANSWER_TIMEOUT_S = 10;
const NAME_PREFIX = "iqn.2026-11.io.ringlun.initiator";

interface InitiatorOptions {
  readonly initiator?: string;
  readonly user?: string;
  readonly secretFile?: string;
  readonly mutualUser?: string;
  readonly mutualSecretFile?: string;
  readonly wait: number;
  readonly json?: boolean;
}

interface PingOptions extends InitiatorOptions {
  readonly count?: number;
  readonly interval: number;
}

export function addInitiatorCommands(program: Command): void {
  initiator(program, "discover", "the targets that a portal tells of, and their portals")
    .argument("<address>", "host, host:port, [ipv6] or [ipv6]:port", address)
    .action(run(discover));
  initiator(program, "ping", "how soon a target answers: NOP-Out, and TEST UNIT READY of a unit, until Ctrl-C")
    .argument("<address>", "of a portal", address)
    .argument("<target>")
    .argument("[lun]", "of the unit", lunNumber, 0)
    .option("-n, --count <number>", "end after so many", wholeNumber)
    .option("-i, --interval <seconds>", "between two", pause, 1)
    .action(run(ping));
}

function initiator(program: Command, name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .option("--initiator <name>", `who to log in as (default: ${NAME_PREFIX}, and this machine's name)`)
    .option("--user <name>", "for CHAP")
    .option("--secret-file <file>", "that holds the user's secret")
    .option("--mutual-user <name>", "the target's own, if it is to prove itself")
    .option("--mutual-secret-file <file>", "that holds the target's secret")
    .option("--wait <seconds>", "for each answer", pause, ANSWER_TIMEOUT_S)
    .option("--json", "for machines")
    .addHelpText(
      "after",
      "\nExit codes: 0 all answered, 1 nobody there or answers lost, 2 what was given has faults, 3 refused",
    );
}

function defaultName(): string {
  const host = hostname()
    .toLowerCase()
    .replace(/[^a-z0-9.-]/g, "-");
  return `${NAME_PREFIX}:${host}`;
}

function address(text: string): PortalAddress {
  const parsed = parsePortalAddress(text, ISCSI_PORT);
  if (!parsed.ok) throw new InvalidArgumentError(parsed.reason);
  return parsed.address;
}

/** Between two, and for an answer. */
const pause = seconds(0.001, 3600);

type Action<Options> = (options: Options, ...args: never[]) => Promise<void>;

function run<Options extends InitiatorOptions>(action: Action<Options>) {
  return async (...given: unknown[]): Promise<void> => {
    const command = given.at(-1) as Command;
    try {
      await action(command.opts() as Options, ...(given.slice(0, -2) as never[]));
    } catch (error) {
      if (error instanceof InvalidArgumentError) command.error(`error: ${error.message}`);
      if ((error as Error).name !== "InitiatorError") throw error;
      const { message, failure } = error as InitiatorError;
      process.stderr.write(`ringlun: ${printable(message)}\n`);
      process.exitCode = failure === "refused" ? EXIT_REFUSED : EXIT_UNAVAILABLE;
    }
  };
}

function wishOf(options: InitiatorOptions): LoginWish {
  const chap = credential(options.user, options.secretFile, "--user", "--secret-file");
  const mutual = credential(options.mutualUser, options.mutualSecretFile, "--mutual-user", "--mutual-secret-file");
  if (mutual !== undefined && chap === undefined) {
    throw new InvalidArgumentError("--mutual-user goes with --user: the initiator proves itself first");
  }
  return {
    initiatorName: options.initiator ?? defaultName(),
    timeoutMs: options.wait * 1000,
    ...(chap === undefined ? {} : { chap }),
    ...(mutual === undefined ? {} : { mutual }),
  };
}

function credential(
  user: string | undefined,
  file: string | undefined,
  userOption: string,
  fileOption: string,
): ChapCredential | undefined {
  if (user === undefined && file === undefined) return undefined;
  if (user === undefined || file === undefined)
    throw new InvalidArgumentError(`${userOption} and ${fileOption} go together`);
  const read = readSecretFile(file, SECRET_LENGTH_MAX_BYTES);
  if (!read.ok) throw new InvalidArgumentError(`${fileOption}: ${file} ${read.reason}`);
  return { user, secret: new Secret(read.bytes) };
}

// ---- discover

interface Row {
  readonly target: string;
  readonly address: string;
  readonly portalGroupTag: number | null;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: "TARGET", value: ({ target }) => target },
  { title: "PORTAL", value: (row) => row.address },
  { title: "GROUP", value: ({ portalGroupTag }) => String(portalGroupTag ?? "-"), right: true },
];

async function discover(options: InitiatorOptions, portal: PortalAddress): Promise<void> {
  // Loaded here: the other commands need no addon.
  const [{ logIn }, { sendTargets, logOut }] = await initiatorModules();
  const wish = wishOf(options);
  const connection = await logIn(portal, wish);
  let targets: DiscoveredTarget[];
  try {
    targets = await sendTargets(connection, wish.timeoutMs);
    await logOut(connection, wish.timeoutMs);
  } finally {
    connection.close();
  }
  if (options.json) print(`${JSON.stringify(targets, null, 2)}\n`);
  else if (targets.length === 0) print(`no targets for ${printable(wish.initiatorName)}\n`);
  else print(table(targets.flatMap(rowsOf), COLUMNS));
}

function rowsOf({ name, portals }: DiscoveredTarget): Row[] {
  if (portals.length === 0) return [{ target: name, address: "(where it was asked)", portalGroupTag: null }];
  return portals.map((portal) => ({ target: name, ...portal }));
}

// ---- ping

async function ping(options: PingOptions, portal: PortalAddress, targetName: string, lun: number): Promise<void> {
  const [{ logIn }, { echo, testUnitReady, logOut }] = await initiatorModules();
  const wish: LoginWish = { ...wishOf(options), targetName };
  const connection = await logIn(portal, wish);
  const ending = new AbortController();
  process.once("SIGINT", () => ending.abort());
  process.stdout.once("error", () => ending.abort());
  const echoes: number[] = [];
  const commands: number[] = [];
  let sent = 0;
  try {
    if (!options.json) print(`${formatPortalAddress(connection.address)} ${printable(targetName)} LUN ${lun}\n`);
    while (!ending.signal.aborted && sent !== options.count) {
      if (sent > 0) await sleep(options.interval * 1000, undefined, { signal: ending.signal }).catch(() => {});
      if (ending.signal.aborted) break;
      sent++;
      try {
        const nop = await timed(() => echo(connection, wish.timeoutMs), echoes);
        const ready = await timed(() => testUnitReady(connection, lun, wish.timeoutMs), commands);
        print(line(options, sent, nop.seconds, ready.seconds, ready.result));
      } catch (error) {
        if ((error as InitiatorError).failure !== "silent") throw error;
        print(options.json ? `${JSON.stringify({ sequence: sent, lost: true })}\n` : `${sent}: no answer\n`);
      }
    }
    await logOut(connection, wish.timeoutMs);
  } finally {
    connection.close();
    print(summary(options, sent, echoes, commands));
  }
  if (commands.length < sent) process.exitCode = EXIT_UNAVAILABLE;
}

async function timed<T>(
  ask: () => Promise<T>,
  into: number[],
): Promise<{ readonly result: T; readonly seconds: number }> {
  const begun = performance.now();
  const result = await ask();
  const seconds = (performance.now() - begun) / 1000;
  into.push(seconds);
  return { result, seconds };
}

const STATUS_NAMES: Readonly<Record<number, string>> = {
  2: "CHECK CONDITION",
  8: "BUSY",
  24: "RESERVATION CONFLICT",
  40: "TASK SET FULL",
};

function line(
  { json }: PingOptions,
  sequence: number,
  nop: number,
  ready: number,
  { status, sense }: Readiness,
): string {
  if (json) return `${JSON.stringify({ sequence, nopSeconds: nop, testUnitReadySeconds: ready, status, sense })}\n`;
  const name = STATUS_NAMES[status] ?? `status ${status}`;
  const how = status === 0 ? "" : `  ${name}${sense === null ? "" : senseText(sense)}`;
  return `${sequence}: NOP-Out ${duration(nop)}  TEST UNIT READY ${duration(ready)}${how}\n`;
}

/** `5/25/00` -> ` 5/25/00 (illegal request)` */
function senseText(sense: string): string {
  return ` ${sense} (${SENSE_KEY_NAMES[Number.parseInt(sense, 16)]})`;
}

function summary({ json }: PingOptions, sent: number, echoes: readonly number[], commands: readonly number[]): string {
  const [nop, testUnitReady] = [statistics(echoes), statistics(commands)];
  if (json) return `${JSON.stringify({ sent, answered: commands.length, nop, testUnitReady })}\n`;
  const lines = [`${commands.length} of ${sent} answered`];
  for (const [name, found] of [
    ["NOP-Out", nop],
    ["TEST UNIT READY", testUnitReady],
  ] as const) {
    if (found === null) continue;
    const { min, avg, p99, max } = found;
    lines.push(
      `${name.padEnd(15)}  min ${duration(min)}, avg ${duration(avg)}, p99 ${duration(p99)}, max ${duration(max)}`,
    );
  }
  return `${lines.join("\n")}\n`;
}

/** Of seconds; null: of none. */
export function statistics(
  times: readonly number[],
): { readonly min: number; readonly avg: number; readonly p99: number; readonly max: number } | null {
  if (times.length === 0) return null;
  const sorted = [...times].sort((a, b) => a - b);
  const avg = sorted.reduce((sum, time) => sum + time, 0) / sorted.length;
  const p99 = sorted[Math.ceil(sorted.length * 0.99) - 1]!;
  return { min: sorted[0]!, avg, p99, max: sorted.at(-1)! };
}

function initiatorModules() {
  return Promise.all([import("../initiator/login.js"), import("../initiator/requests.js")]);
}

/** `ringlun units create, resize, rename, set, delete, map, unmap`. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import type * as z from "zod";
import { CACHE_MODES } from "../config/schema.js";
import type * as documents from "../http/documents.js";
import { printable } from "../printable.js";
import { client, type GlobalOptions, run, show } from "./asking.js";
import { change, differenceText, withFaults } from "./changes.js";
import { type Client, ClientError } from "./client.js";
import { isScreen } from "./screen.js";
import { bytes } from "./table.js";
import { LUN_MAX, lunNumber } from "./typed-values.js";

type Creation = z.output<typeof documents.creation>;
type UnitDeleted = z.output<typeof documents.unitDeleted>;

interface Mapping {
  readonly target: string;
  readonly lun: number;
  readonly initiator?: string;
}

interface CreateOptions extends GlobalOptions {
  readonly file?: string;
  readonly size?: string;
  readonly blockLength?: string;
  readonly cache?: string;
  readonly readOnly?: boolean;
  readonly preallocate?: boolean;
  readonly map?: readonly Mapping[];
  readonly initiator?: string;
}

const LUNS = `0 to ${LUN_MAX}`;

/** Below `ringlun units`. */
export function addUnitCommands(units: Command): void {
  client(units, "create", "add a unit; its file is made, sparse, where it is not there")
    .argument("<name>")
    .requiredOption("--file <path>", "on the server; relative to its configuration file")
    .option("--size <size>", "bytes, or as 10GiB; without it the file has to be there")
    .addOption(new Option("--block-length <bytes>", "of a logical block").choices(["512", "4096"]))
    .addOption(new Option("--cache <mode>", "how it is written").choices(CACHE_MODES))
    .option("--read-only", "refuse writes")
    .option("--preallocate", "give the file all of its blocks first; Ctrl-C cancels that, and leaves nothing")
    .option("--map <target:lun>", "show it as this LUN; may be given again", collectMapping)
    .option("--initiator <name>", "for --map: to this entry of the target's initiators alone")
    .action(run(create));
  client(units, "resize", "make a unit larger, while it is in use; its sessions are told")
    .argument("<name>")
    .argument("<size>", "bytes, or as 20GiB; a unit never shrinks")
    .action(run((asker, options: GlobalOptions, name: string, size: string) => patch(asker, options, name, { size })));
  client(units, "rename", "give a unit another name; it stays the same disk, and its sessions go on")
    .argument("<name>")
    .argument("<new-name>")
    .action(
      run((asker, options: GlobalOptions, name: string, next: string) => patch(asker, options, name, { name: next })),
    );
  client(units, "set", "change keys of a unit as they are in the configuration: readOnly=true cache=writeback id=")
    .argument("<name>")
    .argument("<key=value...>", "a value in YAML; none takes the key away")
    .action(run(set));
  client(units, "delete", "remove a unit; its file stays unless it is to be deleted too")
    .argument("<name>")
    .option("--force", "although it is mapped: with its LUNs; sessions that see it end")
    .option("--delete-file", "its file too, with all that is on it")
    .action(run(remove));
  lunCommand(units, "map", "show a unit as a LUN of a target")
    .argument("<name>", "of the unit")
    .argument("<target>")
    .argument("<lun>", LUNS, lunNumber)
    .option("--read-only", "refuse writes through this LUN")
    .action(run(map));
  lunCommand(units, "unmap", "take a LUN away; sessions that see it go on, and are told")
    .argument("<target>")
    .argument("<lun>", LUNS, lunNumber)
    .action(run(unmap));
}

function lunCommand(units: Command, name: string, description: string): Command {
  return client(units, name, description).option(
    "--initiator <name>",
    "of this entry of the target's initiators alone: its name, pattern or group",
  );
}

/** Names have colons in them: the LUN stands behind the last. */
function collectMapping(text: string, before: readonly Mapping[] = []): Mapping[] {
  const colon = text.lastIndexOf(":");
  if (colon < 1 || !/^[0-9]+$/.test(text.slice(colon + 1))) {
    throw new InvalidArgumentError("write TARGET:LUN, as iqn.2026-11.io.ringlun:vm:0");
  }
  return [...before, { target: text.slice(0, colon), lun: lunNumber(text.slice(colon + 1)) }];
}

const JSON_TYPE = "application/json";

async function create(asker: Client, options: CreateOptions, name: string): Promise<void> {
  const { file, size, blockLength, cache, readOnly, initiator } = options;
  const maps = options.map?.map((mapping) => (initiator === undefined ? mapping : { ...mapping, initiator }));
  const body = JSON.stringify({
    name,
    file,
    size,
    blockLength: blockLength === undefined ? undefined : Number(blockLength),
    cache,
    readOnly,
    maps,
    preallocate: options.preallocate ?? false,
  });
  const ask = () => asker.ask("/api/v1/units", { method: "POST", type: JSON_TYPE, body });
  if (options.preallocate !== true) await change(options, undefined, ask);
  else await follow(asker, options, (await withFaults(undefined, ask)) as Creation);
}

const POLL_MS = 200;

/** Shows how far it is, on a terminal, until it has ended. */
async function follow(asker: Client, options: CreateOptions, begun: Creation): Promise<void> {
  const path = `/api/v1/creations/${begun.id}`;
  let isCancelled = false;
  process.on("SIGINT", () => {
    isCancelled = true;
  });
  let creation = begun;
  while (creation.state === "running") {
    if (isScreen(process.stderr)) process.stderr.write(`\r${progressText(creation)}`);
    await sleep(POLL_MS);
    creation = (await asker.ask(path, isCancelled ? { method: "DELETE" } : {})) as Creation;
  }
  if (isScreen(process.stderr)) process.stderr.write("\r\x1b[K");
  const { state, unit, message } = creation;
  if (state === "done") show(options, creation, () => `+ units.${printable(unit)}\n`);
  else throw new ClientError(`unit ${unit} is not created: ${message ?? "cancelled"}; nothing is left`, 409, creation);
}

function progressText({ unit, doneBytes, totalBytes }: Creation): string {
  return `${printable(unit)}: ${bytes(doneBytes)} of ${bytes(totalBytes)}, ${Math.floor((100 * doneBytes) / totalBytes)} %\x1b[K`;
}

async function set(asker: Client, options: GlobalOptions, name: string, pairs: readonly string[]): Promise<void> {
  const { parse } = await import("yaml");
  const keys = pairs.map((pair) => {
    const [, key, value] = /^([^=]+)=(.*)$/s.exec(pair) ?? [];
    if (key === undefined) throw new InvalidArgumentError(`write key=value, not ${pair}`);
    return [key, value === "" ? null : parse(value!)];
  });
  await patch(asker, options, name, Object.fromEntries(keys));
}

async function patch(asker: Client, options: GlobalOptions, name: string, keys: object): Promise<void> {
  const body = JSON.stringify(keys);
  await change(options, undefined, () => asker.ask(unitPath(name), { method: "PATCH", type: JSON_TYPE, body }));
}

async function remove(
  asker: Client,
  options: GlobalOptions & { force?: boolean; deleteFile?: boolean },
  name: string,
): Promise<void> {
  const query = `force=${options.force ?? false}&deleteFile=${options.deleteFile ?? false}`;
  const gone = (await asker.ask(`${unitPath(name)}?${query}`, { method: "DELETE" })) as UnitDeleted;
  show(options, gone, (it) => `${differenceText(it)}${fileText(it)}`);
  if (gone.file?.reason != null) process.exitCode = 1;
}

function fileText({ file }: UnitDeleted): string {
  if (file === null) return "";
  const path = printable(file.path);
  if (file.deleted) return `${path} is deleted\n`;
  return file.reason === null ? `${path} stays\n` : `${path} stays: ${printable(file.reason)}\n`;
}

async function map(
  asker: Client,
  options: GlobalOptions & { initiator?: string; readOnly?: boolean },
  unit: string,
  target: string,
  lun: number,
): Promise<void> {
  const body = JSON.stringify({ unit, readOnly: options.readOnly });
  const path = lunPath(target, lun, options.initiator);
  await change(options, undefined, () => asker.ask(path, { method: "PUT", type: JSON_TYPE, body }));
}

async function unmap(
  asker: Client,
  options: GlobalOptions & { initiator?: string },
  target: string,
  lun: number,
): Promise<void> {
  await change(options, undefined, () => asker.ask(lunPath(target, lun, options.initiator), { method: "DELETE" }));
}

function unitPath(name: string): string {
  return `/api/v1/units/${encodeURIComponent(name)}`;
}

function lunPath(target: string, lun: number, initiator: string | undefined): string {
  const query = initiator === undefined ? "" : `?initiator=${encodeURIComponent(initiator)}`;
  return `/api/v1/targets/${encodeURIComponent(target)}/luns/${lun}${query}`;
}

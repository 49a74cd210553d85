/** What commands say of a change of the configuration. */
import type * as z from "zod";
import { type Fault, formatFaults } from "../config/fault.js";
import type * as documents from "../http/documents.js";
import { printable } from "../printable.js";
import { type GlobalOptions, show } from "./asking.js";
import { ClientError } from "./client.js";

type Changed = z.output<typeof documents.changed>;
type Refused = z.output<typeof documents.refused>;

/** @param file whose lines its faults are in; undefined: those of no file that the user has. */
export async function change(
  options: GlobalOptions,
  file: string | undefined,
  ask: () => Promise<unknown>,
): Promise<void> {
  const changed = (await withFaults(file, ask)) as Changed;
  for (const warning of changed.warnings) process.stderr.write(`warning: ${faultsText(file, [warning])}\n`);
  show(options, changed, differenceText);
}

/** Asks, and says which faults what was sent has. @throws ClientError all the same */
export async function withFaults(file: string | undefined, ask: () => Promise<unknown>): Promise<unknown> {
  try {
    return await ask();
  } catch (error) {
    const { faults = [] } = (error instanceof ClientError ? (error.document as Partial<Refused> | null) : null) ?? {};
    if (faults.length > 0) process.stderr.write(`${faultsText(file, faults)}\n`);
    throw error;
  }
}

function faultsText(file: string | undefined, faults: readonly Fault[]): string {
  if (file !== undefined) return formatFaults(file, faults);
  return faults.map(({ path, message }) => printable(`${path}: ${message}`)).join("\n");
}

const SIGNS = { added: "+", removed: "-", changed: "~" };
const EFFECTS = { live: "", session: "  (sessions end)", restart: "  (needs a restart)" };

export function differenceText({ differences }: Changed): string {
  if (differences.length === 0) return "nothing is different\n";
  return differences
    .map(({ path, kind, from, to, effect }) => {
      const values = from === undefined ? "" : `: ${from} -> ${to}`;
      return `${SIGNS[kind]} ${printable(`${path}${values}`)}${EFFECTS[effect]}\n`;
    })
    .join("");
}

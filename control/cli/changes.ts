/** What commands say of a change of the configuration. */
import type * as z from "zod";
import { formatFaults } from "../config/fault.js";
import type * as documents from "../http/documents.js";
import { printable } from "../printable.js";
import { type GlobalOptions, show } from "./asking.js";
import { ClientError } from "./client.js";

type Changed = z.output<typeof documents.changed>;
type Refused = z.output<typeof documents.refused>;

export async function change(options: GlobalOptions, file: string, ask: () => Promise<unknown>): Promise<void> {
  try {
    const changed = (await ask()) as Changed;
    if (changed.warnings.length > 0) process.stderr.write(`warning: ${formatFaults(file, changed.warnings)}\n`);
    show(options, changed, differenceText);
  } catch (error) {
    const { faults = [] } = (error instanceof ClientError ? (error.document as Partial<Refused> | null) : null) ?? {};
    if (faults.length > 0) process.stderr.write(`${formatFaults(file, faults)}\n`);
    throw error;
  }
}

const SIGNS = { added: "+", removed: "-", changed: "~" };
const EFFECTS = { live: "", session: "  (sessions end)", restart: "  (needs a restart)" };

function differenceText({ differences }: Changed): string {
  if (differences.length === 0) return "nothing is different\n";
  return differences
    .map(({ path, kind, from, to, effect }) => {
      const values = from === undefined ? "" : `: ${from} -> ${to}`;
      return `${SIGNS[kind]} ${printable(`${path}${values}`)}${EFFECTS[effect]}\n`;
    })
    .join("");
}

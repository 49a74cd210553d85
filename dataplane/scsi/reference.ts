/** The table of all commands in docs/SCSI.md. */
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_RESERVE,
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE,
  COMMAND_NEEDS_MEDIUM,
  COMMAND_PASSES_UNIT_ATTENTION,
  COMMAND_RUNS_IN_STANDBY,
  COMMAND_RUNS_IN_TRANSITION,
  COMMAND_RUNS_IN_UNAVAILABLE,
  COMMAND_WITHOUT_UNIT,
  COMMAND_WRITES_MEDIUM,
  type Command,
  NO_SERVICE_ACTION,
} from "./command.js";
import { COMMANDS } from "./table.js";

const HEAD = ["Opcode", "Command", "CDB usage", "Conflicts with", "Medium", "May run", "Where"];

const CONFLICTS: readonly (readonly [bit: number, name: string])[] = [
  [COMMAND_CONFLICTS_WRITE_EXCLUSIVE, "WE"],
  [COMMAND_CONFLICTS_EXCLUSIVE_ACCESS, "EA"],
  [COMMAND_CONFLICTS_RESERVE, "R"],
];

/** Whether it conflicts depends on the registrations, which control knows. */
const JUDGED_BY_CONTROL = /^(?:RESERVE\(|RELEASE\(|PERSISTENT RESERVE)/;

/** The rows of the command table as a table in Markdown. */
export function commandTable(): string {
  const rows = [HEAD, HEAD.map(() => "---"), ...COMMANDS.map(cellsOf)];
  return rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function cellsOf(command: Command): string[] {
  const { name, opcode, serviceAction, usage, place } = command;
  const code = serviceAction === NO_SERVICE_ACTION ? hex(opcode) : `${hex(opcode)}/${hex(serviceAction)}`;
  const where = place === "both" ? "shard, control" : place;
  return [code, name, `\`${usage.map(hex).join(" ")}\``, conflicts(command), medium(command), mayRun(command), where];
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}

function conflicts({ name, conditions, isLetThrough }: Command): string {
  if (JUDGED_BY_CONTROL.test(name)) return "by its rules";
  const names = CONFLICTS.filter(([bit]) => (conditions & bit) !== 0).map(([, conflict]) => conflict);
  return names.join(" ") + (isLetThrough === undefined ? "" : " (not all)");
}

function medium({ conditions }: Command): string {
  if ((conditions & COMMAND_WRITES_MEDIUM) !== 0) return "writes";
  return (conditions & COMMAND_NEEDS_MEDIUM) !== 0 ? "needs" : "";
}

function mayRun({ conditions, isAllowedDuringSanitize }: Command): string {
  const when: string[] = [];
  if ((conditions & COMMAND_PASSES_UNIT_ATTENTION) !== 0) when.push("unit attention");
  if ((conditions & COMMAND_WITHOUT_UNIT) !== 0) when.push("no unit");
  if (isAllowedDuringSanitize !== undefined) when.push("sanitize");
  if ((conditions & COMMAND_RUNS_IN_STANDBY) !== 0) when.push("standby");
  if ((conditions & COMMAND_RUNS_IN_UNAVAILABLE) !== 0) when.push("unavailable");
  if ((conditions & COMMAND_RUNS_IN_TRANSITION) !== 0) when.push("transition");
  return when.join(", ");
}

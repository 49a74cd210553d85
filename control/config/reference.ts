/** The table of all keys in docs/CONFIGURATION.md. */
import * as z from "zod";
import { documentSchema, keyDescriptions } from "./schema.js";

/** The reference of all keys as a table in Markdown, made from the schema. */
export function referenceTable(): string {
  const rows: string[][] = [
    ["Key", "Type", "Default", "Meaning"],
    ["---", "---", "---", "---"],
  ];
  addRows(documentSchema, "", rows, new Map());
  return rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** The rows of what is below one key. What several keys have in common is described once, under the first of them. */
function addRows(
  schema: z.core.$ZodType,
  path: string,
  rows: string[][],
  described: Map<z.core.$ZodType, string>,
): void {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodArray) addRows(inner.element, `${path}[]`, rows, described);
  else if (inner instanceof z.ZodRecord) addRows(inner.valueType, `${path}.*`, rows, described);
  if (!(inner instanceof z.ZodObject)) return;
  described.set(inner, path);
  for (const [name, value] of Object.entries<z.core.$ZodType>(inner.shape)) {
    const keyPath = path === "" ? name : `${path}.${name}`;
    const description = keyDescriptions.get(value);
    if (description === undefined) throw new Error(`${keyPath} has no description`);
    const elsewhere = findDescribed(value, described);
    rows.push([
      `\`${keyPath}\``,
      description.type || "mapping",
      defaultOf(value, description.absent),
      elsewhere === null ? description.meaning : `${description.meaning} Keys as below \`${elsewhere}\`.`,
    ]);
    if (elsewhere === null) addRows(value, keyPath, rows, described);
  }
}

/** Where the keys below this one stand in the table already; null: nowhere yet. */
function findDescribed(schema: z.core.$ZodType, described: ReadonlyMap<z.core.$ZodType, string>): string | null {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodArray) return findDescribed(inner.element, described);
  if (inner instanceof z.ZodRecord) return findDescribed(inner.valueType, described);
  return described.get(inner) ?? null;
}

function defaultOf(schema: z.core.$ZodType, absent: string | undefined): string {
  if (absent !== undefined) return absent;
  if (schema instanceof z.ZodDefault) {
    const value: unknown = schema.def.defaultValue;
    return typeof value === "object" ? "" : `\`${value}\``;
  }
  return schema instanceof z.ZodExactOptional ? "" : "required";
}

/** Down to the schema that has keys or items, or to the last. */
function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodExactOptional || schema instanceof z.ZodDefault) return unwrap(schema.def.innerType);
  if (schema instanceof z.ZodPipe) return unwrap(schema.def.out);
  return schema;
}

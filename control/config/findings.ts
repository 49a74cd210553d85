/** Steps from the root of the document: keys of mappings and indices of lists. */
export type Path = readonly (string | number)[];

export interface Finding {
  readonly path: Path;
  /** What is wrong and what to do, to be read after the path. */
  readonly message: string;
  /** Whether the key itself is meant, and not its value. */
  readonly of: "key" | "value";
}

/** `targets[0].luns.0`; a key that is not a plain word is quoted. */
export function formatPath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (/^[\p{L}\p{N}_-]+$/u.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** Files of the repository that a test was compiled in. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../../..");

/** `path`: from the root. */
export function repositoryPath(path: string): string {
  return join(ROOT, path);
}

export function repositoryText(path: string): string {
  return readFileSync(repositoryPath(path), "utf8");
}

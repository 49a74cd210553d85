/** The program's version. */
import { createRequire } from "node:module";

/** Of the package that this file belongs to, sources or build. */
export const VERSION: string = readVersion();

function readVersion(): string {
  const require = createRequire(import.meta.url);
  for (const path of ["../package.json", "../../package.json"]) {
    try {
      const { name, version } = require(path) as { name: string; version: string };
      if (name === "ringlun") return version;
    } catch {
      // The other path, then.
    }
  }
  return "unknown";
}

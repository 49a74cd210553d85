/** Making the names of files durable. */
import { closeSync, constants, fsyncSync, openSync } from "node:fs";

/** The name of a new file is durable only with its folder. */
export function syncFolder(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Imported by a program before its own modules (NODE_OPTIONS, see `MORTAL_SHARDS`): SIGUSR2 ends the thread of the shard that lives longest, as if
 * it had died.
 */
import { createRequire, syncBuiltinESMExports } from "node:module";
import { isMainThread, type Worker } from "node:worker_threads";

/** For `RunningTarget`'s `env`. */
export const MORTAL_SHARDS = { NODE_OPTIONS: `--import=${import.meta.url}` };

/** Only where it is preloaded: what imports it for the name above keeps its threads. */
if (process.env.NODE_OPTIONS?.includes(import.meta.url) && isMainThread) {
  const threads: { Worker: typeof Worker } = createRequire(import.meta.url)("node:worker_threads");
  const living = new Set<Worker>();
  threads.Worker = class extends threads.Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      living.add(this);
      this.once("exit", () => living.delete(this));
    }
  };
  syncBuiltinESMExports();
  process.on("SIGUSR2", () => {
    const [oldest] = living;
    void oldest?.terminate();
  });
}

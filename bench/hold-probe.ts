/**
 * Goes into the program before its own code (node --import), and tells the bench that started it how long the main thread was held at a stretch.
 *
 * While it is asked to, it has the loop turn without waiting, and looks at two clocks in each turn. From one look to the next is what the thread did
 * without asking for what else there is: by its own CPU time, which does not count what others took of the processor, and by the time of day, which
 * does, and what the thread waited for itself: a page, a lock, the helpers of a garbage collection.
 */
import { PerformanceObserver } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

/** The longest of each, in milliseconds. */
export interface Hold {
  readonly cpuMs: number;
  readonly elapsedMs: number;
  /** Of one garbage collection; it is part of the others. */
  readonly collectionMs: number;
}

/** What the bench sends; what `end` is answered with is a Hold. */
export type ProbeRequest = "begin" | "end";

async function listen(): Promise<void> {
  const { threadCpuUs } = await import("io-uring-node");
  let isOn = false;
  let longest = { cpuMs: 0, elapsedMs: 0, collectionMs: 0 };
  const collections = new PerformanceObserver((list) => countCollections(list.getEntries()));
  const countCollections = (entries: readonly { readonly duration: number }[]) => {
    for (const { duration } of entries) longest.collectionMs = Math.max(longest.collectionMs, duration);
  };
  let [cpuMs, elapsedMs] = [0, 0];
  const look = () => {
    const [nowCpuMs, nowElapsedMs] = [threadCpuUs() / 1000, performance.now()];
    longest.cpuMs = Math.max(longest.cpuMs, nowCpuMs - cpuMs);
    longest.elapsedMs = Math.max(longest.elapsedMs, nowElapsedMs - elapsedMs);
    [cpuMs, elapsedMs] = [nowCpuMs, nowElapsedMs];
    if (isOn) setImmediate(look);
  };
  process.on("message", (request: ProbeRequest) => {
    isOn = request === "begin";
    if (isOn) {
      [cpuMs, elapsedMs] = [threadCpuUs() / 1000, performance.now()];
      longest = { cpuMs: 0, elapsedMs: 0, collectionMs: 0 };
      collections.observe({ entryTypes: ["gc"] });
      setImmediate(look);
      process.send!("begun");
    } else {
      look();
      countCollections(collections.takeRecords());
      collections.disconnect();
      process.send!(longest satisfies Hold);
    }
  });
  // It must not keep the program from ending.
  process.channel!.unref();
}

if (isMainThread && process.send !== undefined) await listen();

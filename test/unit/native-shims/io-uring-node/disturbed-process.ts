/**
 * A process that is disturbed at its ring. "exit": it exits (7) with a read in flight. "wait": it prints a line, waits
 * in `enter`, and exits with 0 as soon as a signal has brought one of the calls back early; 2 if none did.
 */
import { eventfd, monotonicUs, Ring } from "io-uring-node";
import { Memory } from "./completions.js";

const ring = Ring.open({ entries: 4 });
const counter = new Memory(8);
ring.read(eventfd(), counter.address, 8, 0, 0, 1, 0);
ring.enter(0, 0);
if (process.argv[2] === "exit") process.exit(7);

process.on("SIGUSR2", () => {});
process.stdout.write("waiting\n");
for (let turn = 0; turn < 20; turn++) {
  const before = monotonicUs();
  const ready = ring.enter(1, 1000);
  if (ready === 0 && ring.nowUs < before + 1e6) process.exit(0);
}
process.exit(2);

/** What all parts of a simulation share. */
import type { Faults } from "./faults.js";
import type { Random } from "./random.js";
import type { Timeline } from "./timeline.js";

export interface World {
  readonly timeline: Timeline;
  /** Of the kernel and the network; each initiator has its own. */
  readonly random: Random;
  /** Replaced by NO_FAULTS when a simulation comes to its end and everything is looked over. */
  faults: Faults;
}

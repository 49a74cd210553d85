/** Limits of units and initiators that come, change and go while simulated initiators are at work. */
import type { Cluster, Limits } from "./cluster.js";
import type { Random } from "./random.js";
import type { SimulatedUnit } from "./unit.js";
import type { World } from "./world.js";

const MEBIBYTE = 1024 * 1024;
const INTERVAL_US_MAX = 1_000_000;

/** For all that goes on at this moment, and for what begins before the next change, until all is over. `cluster`: that of the moment. */
export function changeLimits(
  world: World,
  random: Random,
  cluster: () => Cluster,
  units: readonly SimulatedUnit[],
  isOver: () => boolean,
): void {
  if (isOver()) return lift(cluster(), units);
  if (random.chance(0.4)) cluster().limitSessions(randomLimits(random));
  else cluster().limitUnit(random.pick(units).record.unitIndex, randomLimits(random));
  world.timeline.after(random.spread(1000, INTERVAL_US_MAX), () => changeLimits(world, random, cluster, units, isOver));
}

function lift(cluster: Cluster, units: readonly SimulatedUnit[]): void {
  cluster.limitSessions(null);
  for (const { record } of units) cluster.limitUnit(record.unitIndex, null);
}

function randomLimits(random: Random): Limits | null {
  if (random.chance(0.2)) return null;
  const iops = random.pick([null, 50, 1000, 20_000]);
  const bytesPerSecond = random.pick([iops === null ? MEBIBYTE : null, MEBIBYTE, 64 * MEBIBYTE]);
  return { iops, bytesPerSecond, burstSeconds: random.pick([0, 0.01, 1]) };
}

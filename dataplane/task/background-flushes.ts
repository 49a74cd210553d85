/**
 * Flushes that no task waits for (IMMED=1): at most one of each unit is in flight on the shard. A nexus that asks meanwhile is
 * served by the next one, as what it has written may have come too late for the one in flight. Who has asked is told of a
 * failure by a deferred error; all other nexuses hear of the loss at their next flush, as always (storage/logical-unit.ts).
 */
import { storeErrorSense } from "../scsi/sense.js";
import type { LunMapping } from "../session/lun-mapping.js";
import type { Session } from "../session/session.js";
import { KIND_FLUSH, type Shard } from "../shard.js";
import type { LogicalUnit } from "../storage/logical-unit.js";
import { PENDING } from "../storage/store.js";
import type { Barrier } from "./barrier.js";
import type { Task } from "./task.js";

/** Who has asked: a mapping is of one session. */
type Askers = Map<LunMapping, Session>;

interface UnitFlush {
  /** Those whom the flush in flight is for. */
  readonly askers: Askers;
  /** Those whom the next one is for. */
  readonly waiting: Askers;
  /** What waits for its end. */
  readonly awaiters: Barrier[];
}

export class BackgroundFlushes {
  readonly #shard: Shard;
  /** Unit -> its flush in flight. */
  readonly #flushes = new Map<LogicalUnit, UnitFlush>();

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** For the nexus of the task, which may end. */
  begin({ unit, mapping, session }: Task): void {
    const flush = this.#flushes.get(unit!);
    if (flush === undefined) this.#start(unit!, new Map([[mapping!, session!]]));
    else flush.waiting.set(mapping!, session!);
  }

  /** All who have asked are gone, and nobody asks any more. `barrier` is left when nothing of the unit is in flight. */
  end(unit: LogicalUnit, barrier: Barrier): void {
    const flush = this.#flushes.get(unit);
    if (flush === undefined) return;
    flush.waiting.clear();
    barrier.join();
    flush.awaiters.push(barrier);
  }

  /** The unit's flush in flight has completed. */
  completed(unitIndex: number, result: number): void {
    const unit = this.#shard.units.get(unitIndex)!;
    const { askers, waiting, awaiters } = this.#flushes.get(unit)!;
    this.#flushes.delete(unit);
    this.#tell(unit, askers, result);
    if (waiting.size > 0) this.#start(unit, waiting);
    for (const awaiter of awaiters) awaiter.leave();
  }

  #start(unit: LogicalUnit, askers: Askers): void {
    const result = unit.store.flush(KIND_FLUSH, unit.unitIndex);
    if (result === PENDING) this.#flushes.set(unit, { askers, waiting: new Map(), awaiters: [] });
    else this.#tell(unit, askers, result);
  }

  #tell(unit: LogicalUnit, askers: Askers, result: number): void {
    if (result < 0) unit.noteFailedFlush(result);
    for (const [mapping, session] of askers) {
      // Nobody would hear it: the initiator is told when it comes back.
      if (this.#shard.sessions.get(session.sessionId) !== session) continue;
      const loss = unit.lossSince(mapping.lossesHeard);
      if (loss === 0) continue;
      mapping.lossesDeferred = unit.losses;
      session.attentions.addDeferredError(mapping.lun, storeErrorSense(loss, true));
    }
  }
}

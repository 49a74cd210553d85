/** The copy manager on two null units, with a mover whose copies last as long as a test wants. */

import { type Session, SessionRegistry } from "../../../../../control/session-registry.js";
import { StatisticsMemory } from "../../../../../control/statistics.js";
import { CopyManager } from "../../../../../control/units/copy/copy-manager.js";
import type { DataMover, Extent, Guard, StoreFault } from "../../../../../control/units/copy/data-mover.js";
import { Reaches } from "../../../../../control/units/copy/reach.js";
import { SlowCommands } from "../../../../../control/units/slow-commands.js";
import { Units } from "../../../../../control/units/units.js";
import type { ScsiAnswer, UnitRecord } from "../../../../../dataplane/messages.js";
import { naaOf } from "../../../../../dataplane/scsi/unit-name.js";
import { AGREEMENT, INITIATOR, nullUnit, recordingLogger, silent, TARGET, target } from "../../support/fixtures.js";

export const UUIDS = ["00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"];

/** A copy at a part of it: `go` lets it end. */
interface Held {
  readonly extent: Extent;
  go(fault?: StoreFault): void;
}

export class CopyFixture {
  readonly registry = new SessionRegistry(1);
  readonly units = new Units(silent, new StatisticsMemory(1));
  readonly commands: SlowCommands;
  readonly copies: CopyManager;
  /** Copies wait here while `holds`. */
  readonly held: Held[] = [];
  holds = false;
  /** Units whose LUNs are read-only. */
  readonly readOnly = new Set<string>();
  readonly log = recordingLogger();
  #lastExchange = 0;

  constructor() {
    for (const [i, uuid] of UUIDS.entries()) this.units.open(nullUnit(`unit${i}`), uuid);
    this.commands = new SlowCommands({ units: this.units, registry: this.registry, logger: this.log.logger });
    const luns = () => UUIDS.map((_, lun) => ({ lun, unit: `unit${lun}`, readOnly: this.readOnly.has(`unit${lun}`) }));
    const reaches = new Reaches({
      registry: this.registry,
      units: this.units,
      blocked: () => 0,
      accessState: () => 0,
      grant: () => ({ target: target(), auth: null, portalGroups: [1], luns: luns(), limits: null }),
    });
    const mover = {
      move: (extent: Extent, guard: Guard<unknown>, progress: (bytes: number) => void) =>
        this.#move(extent, guard, progress),
      lossesBefore: () => 0,
      makeDurable: () => Promise.resolve(0),
      forget: () => {},
    } as unknown as DataMover;
    this.copies = new CopyManager({ reaches, mover, logger: this.log.logger });
    this.copies.serve(this.commands);
  }

  async #move(extent: Extent, guard: Guard<unknown>, progress: (bytes: number) => void): Promise<unknown> {
    if (this.holds) {
      const fault = await new Promise<StoreFault | undefined>((resolve) => {
        this.held.push({ extent, go: resolve });
        guard.signal.addEventListener("abort", () => resolve(undefined));
      });
      if (fault !== undefined) return fault;
    }
    const reason = guard.check();
    if (reason === undefined) progress(extent.length);
    return reason;
  }

  logIn(isid: string, initiatorName = INITIATOR): Session {
    const identity = { initiatorName, isid, targetName: TARGET, portalGroup: 1 };
    return this.registry.open(
      identity,
      0,
      AGREEMENT,
      this.records.map(({ unitIndex }) => unitIndex),
    );
  }

  get records(): UnitRecord[] {
    return this.units.records();
  }

  name(unit: number): Buffer {
    return Buffer.from(naaOf(UUIDS[unit]!));
  }

  run(session: Session, cdb: Uint8Array, parameters: Uint8Array = new Uint8Array(), unit = 0): Promise<ScsiAnswer> {
    return this.commands.execute({
      type: "scsiCommand",
      exchange: ++this.#lastExchange,
      sessionId: session.sessionId,
      unitIndex: this.records[unit]!.unitIndex,
      lun: unit,
      cdb: Buffer.from(cdb).toString("hex"),
      parameters: Buffer.from(parameters).toString("hex"),
    });
  }

  /** Aborts the command that was run last. */
  abort(session: Session): void {
    this.commands.abort(session.shard, this.#lastExchange);
  }
}

/** "good", "status 8", or "key/asc+ascq". */
export function describeAnswer(answer: ScsiAnswer): string {
  if (answer.kind === "status") return `status ${answer.status}`;
  if (answer.kind !== "sense") return answer.kind;
  return `${answer.senseKey.toString(16)}/${((answer.asc << 8) | answer.ascq).toString(16).padStart(4, "0")}`;
}

/** Commands as shards hand them to control, of several sessions on one unit, and what they have the shards change. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { StateDirectory } from "../../../../control/config/state-directory.js";
import { type Session, SessionRegistry } from "../../../../control/session-registry.js";
import { StatisticsMemory } from "../../../../control/statistics.js";
import { SlowCommands } from "../../../../control/units/slow-commands.js";
import type { UnitChanges } from "../../../../control/units/unit-changes.js";
import { Units } from "../../../../control/units/units.js";
import type { ScsiAnswer, UnitChange, UnitRecord } from "../../../../dataplane/messages.js";
import { temporaryFolder } from "../../../support/undo.js";
import { unitRecord } from "../../../support/unit-record.js";
import { AGREEMENT, INITIATOR, nullUnit, silent, TARGET } from "../support/fixtures.js";

export const UUID = "00000000-0000-4000-8000-000000000001";

export class SlowFixture {
  readonly registry = new SessionRegistry(1);
  readonly statistics = new StatisticsMemory(1);
  readonly units = new Units(silent, this.statistics);
  readonly commands: SlowCommands;
  /** In the order in which they were made. */
  readonly made: UnitChange[] = [];
  readonly changes: UnitChanges;

  /** `unit`: in place of a null unit. */
  constructor(unit?: UnitRecord) {
    this.units.open(nullUnit(), UUID);
    if (unit !== undefined) {
      this.units.records = () => [unit];
      this.units.at = () => unit;
    }
    this.commands = new SlowCommands({ units: this.units, registry: this.registry, logger: silent });
    this.changes = {
      make: (unitIndex: number, change: UnitChange) => {
        assert.equal(unitIndex, this.unit.unitIndex);
        this.made.push(change);
        if (change.state !== undefined) this.units.setState(unitIndex, change.state);
        return Promise.resolve();
      },
    } as unknown as UnitChanges;
  }

  get unit(): UnitRecord {
    return this.units.records()[0]!;
  }

  login(isid: string, portalGroup = 1): Session {
    const identity = { initiatorName: INITIATOR, isid: isid.padStart(12, "0"), targetName: TARGET, portalGroup };
    return this.registry.open(identity, 0, AGREEMENT, [this.unit.unitIndex]);
  }

  async run(session: Session, cdb: string, parameters = ""): Promise<ScsiAnswer> {
    return this.commands.execute({
      type: "scsiCommand",
      exchange: 1,
      sessionId: session.sessionId,
      unitIndex: this.unit.unitIndex,
      lun: 0,
      cdb: cdb.replaceAll(" ", ""),
      parameters: parameters.replaceAll(" ", ""),
    });
  }

  /** The data of a command that is good. */
  async data(session: Session, cdb: string): Promise<string> {
    const answer = await this.run(session, cdb);
    assert.equal(answer.kind, "good", JSON.stringify(answer));
    return (answer.kind === "good" && answer.data) || "";
  }

  /** "key/asc/ascq", and where the field pointer points. */
  async sense(session: Session, cdb: string, parameters = ""): Promise<string> {
    return describeSense(await this.run(session, cdb, parameters));
  }
}

export const fileUnitRecord = () => unitRecord({ statisticsBlock: 1, uuid: UUID }, 2 ** 30);

export function describeSense(answer: ScsiAnswer): string {
  assert.ok(answer.kind === "sense", JSON.stringify(answer));
  const { senseKey, asc, ascq, senseKeySpecific: specific = -1 } = answer;
  const code = [senseKey, asc, ascq].map((value) => value.toString(16)).join("/");
  if (specific < 0) return code;
  const bit = (specific & 0x08_0000) === 0 ? "" : `.${(specific >>> 16) & 7}`;
  return `${code} ${(specific & 0x40_0000) === 0 ? "list" : "cdb"} ${specific & 0xffff}${bit}`;
}

export async function stateDirectory(context: TestContext): Promise<StateDirectory> {
  const folder = temporaryFolder(context);
  return StateDirectory.open(join(folder, "state"));
}

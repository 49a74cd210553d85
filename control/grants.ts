/** What initiators get at this moment: the targets that they are told of, and the LUNs and limits of their sessions. */
import type { LimitsRecord, LunRecord } from "../dataplane/messages.js";
import { judgeAccess, targetNamed, visibleTargets } from "./access.js";
import type { Configuration, LunMapping } from "./config/schema.js";
import type { ListeningPortal, Offer } from "./discovery.js";
import type { Drains } from "./drains.js";
import type { InitiatorLimits } from "./initiator-limits.js";
import type { Session, SessionIdentity } from "./session-registry.js";
import type { AsymmetricAccess } from "./units/access/asymmetric-access.js";
import type { Reservations } from "./units/reservations/reservations.js";
import type { UnheardLosses } from "./units/unheard-losses.js";
import type { Units } from "./units/units.js";

export interface GrantsOptions {
  readonly units: Units;
  readonly reservations: Reservations;
  readonly access: AsymmetricAccess;
  readonly initiatorLimits: InitiatorLimits;
  readonly unheardLosses: UnheardLosses;
  readonly drains: Drains;
  readonly configuration: () => Configuration;
  readonly portals: () => readonly ListeningPortal[];
}

export class Grants {
  readonly #options: GrantsOptions;

  constructor(options: GrantsOptions) {
    this.#options = options;
  }

  /** What initiators of this name are told of. */
  offer(initiatorName: string): Offer {
    const { drains, portals } = this.#options;
    const configuration = this.#options.configuration();
    const offer = { targets: visibleTargets(configuration, initiatorName), portals: portals() };
    return drains.without(
      offer,
      (targetName) => (targetNamed(configuration, targetName)?.redirect?.to ?? null) !== null,
    );
  }

  /** Of these mappings, as the nexus sees them at this moment; of units that are not open there is none. */
  lunRecords(luns: readonly LunMapping[], identity: SessionIdentity): LunRecord[] {
    const { units, reservations, access, unheardLosses } = this.#options;
    return luns.flatMap(({ lun, unit: name, readOnly }) => {
      const unit = units.find(name);
      if (unit === undefined) return [];
      const blocked = reservations.blocked(unit.uuid, identity);
      const accessState = access.state(unit, Number(identity.portalGroup));
      const hasUnheardLoss = unheardLosses.sees(unit.uuid, identity.initiatorName);
      const { unitIndex } = unit;
      return [{ lun, unitIndex, readOnly: readOnly || unit.readOnly, blocked, accessState, hasUnheardLoss }];
    });
  }

  limits(session: Session): LimitsRecord | null {
    const { targetName, portalGroup, initiatorName } = session.identity;
    const access = judgeAccess(this.#options.configuration(), targetName, Number(portalGroup), initiatorName);
    return this.#options.initiatorLimits.of(session, access.kind === "granted" ? access.grant.limits : null);
  }
}

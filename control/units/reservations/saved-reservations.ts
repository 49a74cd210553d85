/** What of a unit's reservations is kept in stateDir: with APTPL all but PRGENERATION, else nothing. */
import * as z from "zod";
import type { StateDirectory } from "../../config/state-directory.js";
import { type Nexus, nexusKey } from "./nexus.js";
import { isAllRegistrants, isReservationType } from "./reservation-type.js";
import { assertValid, persistentOf, UNRESERVED, type UnitReservations } from "./state.js";

const nexus = z.strictObject({
  initiatorName: z.string(),
  isid: z.string().regex(/^[0-9a-f]{12}$/),
  targetName: z.string(),
  portalGroupTag: z.int().min(0).max(0xffff),
});

const content = z.strictObject({
  registrations: z.array(z.strictObject({ ...nexus.shape, key: z.string() })),
  /** `holder` is null for the types All Registrants. */
  reservation: z.strictObject({ type: z.int(), holder: nexus.nullable() }).nullable(),
});

type Content = z.infer<typeof content>;

const NOTHING: Content = { registrations: [], reservation: null };

const document = z
  .strictObject({ survivesPowerLoss: z.boolean(), ...content.shape })
  .transform((data, context): UnitReservations => {
    try {
      return decode(data);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
      return z.NEVER;
    }
  });

/** The unit's identity names its document, so that reservations stay with what hosts take for the same disk. */
function documentName(uuid: string): string {
  return `reservations-${uuid}`;
}

export class SavedReservations {
  readonly #stateDirectory: StateDirectory;
  /** uuid -> the JSON that is on the disk for certain. */
  readonly #written = new Map<string, string>();

  constructor(stateDirectory: StateDirectory) {
    this.#stateDirectory = stateDirectory;
  }

  /** As after a loss of power. Rejects with a DamagedStateError where what is kept cannot be understood. */
  async load(uuid: string): Promise<UnitReservations> {
    const state = (await this.#stateDirectory.read(documentName(uuid), document)) ?? UNRESERVED;
    this.#written.set(uuid, JSON.stringify(encode(state)));
    return state;
  }

  /** Resolves when a loss of power would leave the unit with this state. */
  async save(uuid: string, state: UnitReservations): Promise<void> {
    const data = encode(state);
    const json = JSON.stringify(data);
    if (this.#written.get(uuid) === json) return;
    // If this fails, either may be there.
    this.#written.delete(uuid);
    await this.#stateDirectory.write(documentName(uuid), data);
    this.#written.set(uuid, json);
  }
}

function encode(state: UnitReservations) {
  const { survivesPowerLoss, registrations } = state;
  const reservation = persistentOf(state);
  if (!survivesPowerLoss) return { survivesPowerLoss, ...NOTHING };
  const kept: Content = {
    registrations: [...registrations.values()].map(({ nexus: { ...parts }, key }) => ({ ...parts, key })),
    reservation:
      reservation === null
        ? null
        : { type: reservation.type, holder: reservation.kind === "holder" ? reservation.holder : null },
  };
  return { survivesPowerLoss, ...kept };
}

/** @throws where it is not what `encode` makes. */
function decode(data: Content & { readonly survivesPowerLoss: boolean }): UnitReservations {
  const registrations = new Map(
    data.registrations.map(({ key, ...parts }) => [nexusKey(parts), { nexus: parts, key }] as const),
  );
  if (registrations.size !== data.registrations.length) throw new Error("a nexus is registered twice");
  const state: UnitReservations = {
    ...UNRESERVED,
    survivesPowerLoss: data.survivesPowerLoss,
    registrations,
    reservation: decodeReservation(data.reservation),
  };
  assertValid(state);
  return state;
}

function decodeReservation(reservation: Content["reservation"]): UnitReservations["reservation"] {
  if (reservation === null) return null;
  const { type, holder }: { readonly type: number; readonly holder: Nexus | null } = reservation;
  if (!isReservationType(type)) throw new Error(`there is no reservation type ${type}`);
  if (holder !== null) return { kind: "holder", type, holder };
  if (!isAllRegistrants(type)) throw new Error(`a reservation of type ${type} has a holder`);
  return { kind: "allRegistrants", type };
}

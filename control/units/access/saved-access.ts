/** What initiators have set of a unit's access states, and the configuration did not: kept in stateDir. */
import * as z from "zod";
import type { StateDirectory } from "../../config/state-directory.js";
import { ACCESS_STATES, accessStateName } from "./access-state.js";
import { STATUS_EXPLICIT, type UnitAccess } from "./group-access.js";

const stateName = z.enum(["optimized", "non-optimized", "standby", "unavailable", "transitioning"]);

const document = z.strictObject({
  groups: z.array(
    z.strictObject({
      portalGroup: z.int().min(0).max(0xffff),
      state: stateName,
      /** What the configuration said then. */
      setOver: stateName,
    }),
  ),
});

/** The unit's identity names its document, so that states stay with what hosts take for the same disk. */
function documentName(uuid: string): string {
  return `access-states-${uuid}`;
}

export class SavedAccess {
  readonly #stateDirectory: StateDirectory;
  /** uuid -> the JSON that is on the disk for certain. */
  readonly #written = new Map<string, string>();

  constructor(stateDirectory: StateDirectory) {
    this.#stateDirectory = stateDirectory;
  }

  /** By portal group tag, for the configuration to judge. Rejects with a StateError where what is kept cannot be trusted. */
  async load(uuid: string): Promise<UnitAccess> {
    const kept = (await this.#stateDirectory.read(documentName(uuid), document)) ?? { groups: [] };
    this.#written.set(uuid, JSON.stringify(kept));
    return new Map(
      kept.groups.map(({ portalGroup, state, setOver }) => [
        portalGroup,
        { state: ACCESS_STATES[state], preferred: false, statusCode: STATUS_EXPLICIT, setOver },
      ]),
    );
  }

  /** Resolves when a loss of power would leave the unit with this. */
  async save(uuid: string, access: UnitAccess): Promise<void> {
    const data: z.infer<typeof document> = {
      groups: [...access].flatMap(([portalGroup, { state, setOver }]) =>
        setOver === null ? [] : [{ portalGroup, state: accessStateName(state), setOver }],
      ),
    };
    const json = JSON.stringify(data);
    if (this.#written.get(uuid) === json) return;
    // If this fails, either may be there.
    this.#written.delete(uuid);
    await this.#stateDirectory.write(documentName(uuid), data);
    this.#written.set(uuid, json);
  }
}

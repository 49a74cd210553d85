/** Primary commands (SPC-5) that control answers and that are about neither modes nor reservations: those who answer them, in one hand. */
import type { UnitRecord } from "../../dataplane/messages.js";
import type { PortalAddress } from "../config/portal-address.js";
import type { StateDirectory } from "../config/state-directory.js";
import type { Session } from "../session-registry.js";
import { IdentifyingInformation } from "./identifying-information.js";
import { Logs } from "./logs.js";
import { answerManagementAddresses, OPCODE_INQUIRY } from "./management-addresses.js";
import { Priorities } from "./priorities.js";
import type { SlowCommands } from "./slow-commands.js";
import { Timestamps } from "./timestamps.js";
import type { UnitChanges } from "./unit-changes.js";

export interface PrimaryCommandsOptions {
  readonly stateDirectory: StateDirectory;
  /** What was counted of the unit's commands, by all shards. */
  readonly counted: (unit: UnitRecord) => Float64Array;
  readonly sessions: () => Iterable<Session>;
  /** Tags of all portal groups of a target. */
  readonly targetPorts: (targetName: string) => readonly number[];
  /** Where HTTP listens now; undefined: it does not. */
  readonly http: () => PortalAddress | undefined;
}

export class PrimaryCommands {
  readonly #http: PrimaryCommandsOptions["http"];
  readonly #identifyingInformation: IdentifyingInformation;
  readonly #logs: Logs;
  readonly #priorities: Priorities;
  readonly #timestamps = new Timestamps();

  constructor(options: PrimaryCommandsOptions) {
    this.#http = options.http;
    this.#identifyingInformation = new IdentifyingInformation(options.stateDirectory);
    this.#logs = new Logs(options);
    this.#priorities = new Priorities(options);
  }

  /** What was kept of a unit. Rejects with a StateError where that cannot be trusted. */
  async load(uuid: string): Promise<void> {
    await this.#identifyingInformation.load(uuid);
  }

  serve(commands: SlowCommands, changes: UnitChanges): void {
    commands.register(OPCODE_INQUIRY, (command) => answerManagementAddresses(command, this.#http()));
    this.#identifyingInformation.serve(commands, changes);
    this.#logs.serve(commands, changes);
    this.#priorities.serve(commands, changes);
    this.#timestamps.serve(commands, changes);
  }

  unitReset(unitIndex: number): void {
    this.#priorities.unitReset(unitIndex);
  }
}

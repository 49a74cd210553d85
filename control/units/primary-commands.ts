/** Primary commands (SPC-5) that control answers and that are about neither modes nor reservations: those who answer them, in one hand. */
import type { ScsiAnswer, UnitRecord } from "../../dataplane/messages.js";
import { VPD_SCSI_PORTS } from "../../dataplane/scsi/inquiry.js";
import type { StateDirectory } from "../config/state-directory.js";
import type { HttpAddress } from "../http/http-server.js";
import type { Session } from "../session-registry.js";
import { IdentifyingInformation } from "./identifying-information.js";
import { Logs } from "./logs.js";
import { answerManagementAddresses, OPCODE_INQUIRY } from "./management-addresses.js";
import { Priorities } from "./priorities.js";
import { answerScsiPorts } from "./scsi-ports.js";
import type { SlowCommand, SlowCommands } from "./slow-commands.js";
import { Timestamps } from "./timestamps.js";
import type { UnitChanges } from "./unit-changes.js";

/** Of the CDB of INQUIRY. */
const VPD_PAGE_BYTE = 2;

export interface PrimaryCommandsOptions {
  readonly stateDirectory: StateDirectory;
  /** What was counted of the unit's commands, by all shards. */
  readonly counted: (unit: UnitRecord) => Float64Array;
  readonly sessions: () => Iterable<Session>;
  /** Tags of all portal groups of a target. */
  readonly targetPorts: (targetName: string) => readonly number[];
  /** Where HTTP listens now; undefined: it does not. */
  readonly http: () => HttpAddress | undefined;
}

export class PrimaryCommands {
  readonly #http: PrimaryCommandsOptions["http"];
  readonly #targetPorts: PrimaryCommandsOptions["targetPorts"];
  readonly #identifyingInformation: IdentifyingInformation;
  readonly #logs: Logs;
  readonly #priorities: Priorities;
  readonly #timestamps = new Timestamps();

  constructor(options: PrimaryCommandsOptions) {
    this.#http = options.http;
    this.#targetPorts = options.targetPorts;
    this.#identifyingInformation = new IdentifyingInformation(options.stateDirectory);
    this.#logs = new Logs(options);
    this.#priorities = new Priorities(options);
  }

  /** What was kept of a unit. Rejects with a StateError where that cannot be trusted. */
  async load(uuid: string): Promise<void> {
    await this.#identifyingInformation.load(uuid);
  }

  serve(commands: SlowCommands, changes: UnitChanges): void {
    commands.register(OPCODE_INQUIRY, (command) => this.#vitalProductData(command));
    this.#identifyingInformation.serve(commands, changes);
    this.#logs.serve(commands, changes);
    this.#priorities.serve(commands, changes);
    this.#timestamps.serve(commands, changes);
  }

  /** The pages that shards leave to control. */
  #vitalProductData(command: SlowCommand): ScsiAnswer {
    return command.cdb[VPD_PAGE_BYTE] === VPD_SCSI_PORTS
      ? answerScsiPorts(command, this.#targetPorts(command.session.identity.targetName))
      : answerManagementAddresses(command, this.#http());
  }

  unitReset(unitIndex: number): void {
    this.#priorities.unitReset(unitIndex);
  }
}

/** A portal with everything behind it but threads: connections are served by LoginConnection, shards are FakeShards. */
import { visibleTargets } from "../../../../control/access.js";
import { Admission, type Refusal } from "../../../../control/admission.js";
import { LoginTap, type LoginTrace } from "../../../../control/capture/login-trace.js";
import type { Configuration } from "../../../../control/config/schema.js";
import type { Logger } from "../../../../control/logger.js";
import { LoginConnection } from "../../../../control/login-connection.js";
import { Portal } from "../../../../control/portal.js";
import { Redirections } from "../../../../control/redirection.js";
import { SessionRegistry } from "../../../../control/session-registry.js";
import { FakeShards, silent } from "./fixtures.js";
import { Initiator } from "./initiator.js";

export class EntranceHall {
  readonly registry = new SessionRegistry(100);
  readonly shards = new FakeShards();
  readonly admission = new Admission(this.registry, this.shards, silent, async () => {});
  readonly statuses: number[] = [];
  readonly connections: LoginConnection[] = [];
  /** Of each connection: resolved when `serve` has returned. */
  readonly served: Promise<void>[] = [];
  readonly #initiators: Initiator[] = [];
  authenticated = 0;
  /** Why no session may begin. */
  unavailable: Refusal | undefined;
  /** Where PDUs of logins are captured; null: nowhere. */
  logins: LoginTrace | null = null;
  configuration: Configuration;
  portal!: Portal;

  private constructor(configuration: Configuration) {
    this.configuration = configuration;
  }

  static async open(configuration: Configuration, logger: Logger = silent): Promise<EntranceHall> {
    const hall = new EntranceHall(configuration);
    const host = {
      registry: hall.registry,
      admission: hall.admission,
      shards: hall.shards,
      logger,
      redirections: new Redirections({
        registry: hall.registry,
        outOfService: { hasPortal: () => false, hasTarget: () => false },
        configuration: () => hall.configuration,
        portals: () => [hall.portal],
      }),
      configuration: () => hall.configuration,
      unavailable: () => hall.unavailable,
      offer: (initiatorName: string) => ({
        targets: visibleTargets(hall.configuration, initiatorName),
        portals: [hall.portal],
      }),
      lunRecords: () => [{ lun: 0, unitIndex: 0, readOnly: false, blocked: 0, accessState: 0 }],
      statisticsBlock: () => 0,
      limits: () => null,
      isChallengeOutstanding: () => false,
      tap: (initiatorAddress: string, portalAddress: string) =>
        new LoginTap(() => hall.logins, initiatorAddress, portalAddress),
      onLogin: (status: number) => hall.statuses.push(status),
    };
    hall.portal = await Portal.listen(1, { host: "127.0.0.1", port: 0 }, (socket, portal) => {
      const entrance = { portal, host: "127.0.0.1", port: portal.address.port };
      const connection = new LoginConnection(socket, entrance, host, () => hall.authenticated++);
      hall.connections.push(connection);
      hall.served.push(connection.serve());
    });
    return hall;
  }

  async connect(): Promise<Initiator> {
    const initiator = await Initiator.connect(this.portal.address);
    this.#initiators.push(initiator);
    return initiator;
  }

  close(): void {
    this.portal.close();
    for (const initiator of this.#initiators) initiator.close();
    for (const connection of this.connections) connection.close("the test ends");
  }
}

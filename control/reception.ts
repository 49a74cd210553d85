/** Where initiators come in: the portals, and the connections that are control's own, in the Login Phase or in discovery. */
import type { Socket } from "node:net";
import { formatPortalAddress, type PortalAddress } from "./config/portal-address.js";
import { ConnectionQuota } from "./connection-quota.js";
import type { ListeningPortal } from "./discovery.js";
import { UNAUTHENTICATED_CONNECTIONS_MAX, UNAUTHENTICATED_CONNECTIONS_PER_PEER_MAX } from "./limits.js";
import { listenFault } from "./listen-fault.js";
import type { Logger } from "./logger.js";
import { type ConnectionHost, LoginConnection } from "./login-connection.js";
import { Portal } from "./portal.js";

export interface ReceptionOptions extends Omit<ConnectionHost, "isChallengeOutstanding"> {
  /** A connection was closed as soon as it came: there are too many that have not logged in. */
  onRefused(): void;
}

/** A portal cannot listen. The message names it and says why. */
export class PortalError extends Error {
  override readonly name = "PortalError";
}

export class Reception {
  readonly #options: ReceptionOptions;
  readonly #host: ConnectionHost;
  readonly #logger: Logger;
  readonly #portals: Portal[] = [];
  readonly #connections = new Set<LoginConnection>();
  readonly #quota = new ConnectionQuota(UNAUTHENTICATED_CONNECTIONS_MAX, UNAUTHENTICATED_CONNECTIONS_PER_PEER_MAX);
  #isClosed = false;

  constructor(options: ReceptionOptions) {
    this.#options = options;
    this.#logger = options.logger;
    this.#host = {
      ...options,
      isChallengeOutstanding: (challenge) => this.#isChallengeOutstanding(challenge),
    };
  }

  get portals(): readonly ListeningPortal[] {
    return this.#portals;
  }

  /** Connections in the Login Phase. */
  get unauthenticatedCount(): number {
    return this.#quota.count;
  }

  /** @throws PortalError */
  async listen(tag: number, address: PortalAddress): Promise<void> {
    const name = formatPortalAddress(address);
    const portal = await Portal.listen(tag, address, (socket, from) => this.#accept(socket, from)).catch((error) => {
      throw new PortalError(`portal ${name} of portal group ${tag} cannot listen: ${listenFault(error)}`, {
        cause: error,
      });
    });
    portal.onError((error) => this.#logger.error({ portal: name, err: error }, "portal"));
    this.#portals.push(portal);
    this.#logger.info({ portal: formatPortalAddress(portal.address), tag }, "portal listens");
  }

  /** Accepts no more at this portal. Connections that came through it go on. */
  closePortal(tag: number, address: PortalAddress): void {
    const at = this.#portals.findIndex(
      (portal) => portal.tag === tag && formatPortalAddress(portal.configured) === formatPortalAddress(address),
    );
    const [portal] = at < 0 ? [] : this.#portals.splice(at, 1);
    portal?.close();
    if (portal !== undefined) this.#logger.info({ portal: formatPortalAddress(portal.address), tag }, "portal closed");
  }

  /** Accepts no more, and ends what is control's. */
  close(): void {
    this.#isClosed = true;
    for (const portal of this.#portals) portal.close();
    for (const connection of this.#connections) connection.close("the target stops");
  }

  #accept(socket: Socket, portal: ListeningPortal): void {
    const { remoteAddress, localAddress, localPort } = socket;
    // Gone already.
    if (remoteAddress === undefined || localAddress === undefined || localPort === undefined) {
      socket.destroy();
      return;
    }
    const release = this.#isClosed ? undefined : this.#quota.take(remoteAddress);
    if (release === undefined) {
      this.#options.onRefused();
      this.#logger.debug({ peer: remoteAddress }, "connection closed: too many that have not logged in");
      socket.destroy();
      return;
    }
    const entrance = { portal, host: localAddress, port: localPort };
    const connection = new LoginConnection(socket, entrance, this.#host, release);
    this.#connections.add(connection);
    void connection.serve().finally(() => {
      release();
      this.#connections.delete(connection);
    });
  }

  #isChallengeOutstanding(challenge: Uint8Array): boolean {
    for (const { challenge: outstanding } of this.#connections) {
      if (outstanding !== undefined && Buffer.compare(outstanding, challenge) === 0) return true;
    }
    return false;
  }
}

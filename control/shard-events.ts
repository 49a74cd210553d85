/** What shards say, and the ends of shards: told to whoever in control it concerns. */
import type { ShardMessage } from "../dataplane/messages.js";
import type { Admission } from "./admission.js";
import type { Broadcasts } from "./broadcasts.js";
import type { Offer } from "./discovery.js";
import type { Drains } from "./drains.js";
import { FullFeatureTexts } from "./full-feature-text.js";
import type { Logger } from "./logger.js";
import { logFields, type Session, type SessionRegistry } from "./session-registry.js";
import type { ShardControl } from "./shards.js";
import type { UnitResets } from "./unit-resets.js";
import type { CopyManager } from "./units/copy/copy-manager.js";
import type { RemovalPrevention } from "./units/removal-prevention.js";
import type { Reservations } from "./units/reservations/reservations.js";
import type { SlowCommands } from "./units/slow-commands.js";
import type { UnheardLosses } from "./units/unheard-losses.js";
import type { Units } from "./units/units.js";

export interface ShardEventsOptions {
  readonly registry: SessionRegistry;
  readonly units: Units;
  readonly reservations: Reservations;
  readonly removalPrevention: RemovalPrevention;
  readonly unheardLosses: UnheardLosses;
  readonly logger: Logger;
}

/** What is there only once the shards run. */
export interface ShardEventsService {
  readonly shards: Pick<ShardControl, "send" | "serving">;
  readonly admission: Admission;
  readonly drains: Drains;
  readonly broadcasts: Broadcasts;
  readonly unitResets: UnitResets;
  readonly copies: CopyManager;
  readonly slowCommands: SlowCommands;
  /** What initiators of this name are told of. */
  readonly offer: (initiatorName: string) => Offer;
  /** What a login to this target would be told now; undefined: there is none of this name any more. */
  readonly maxRecvDataSegmentLength: (targetName: string) => number | undefined;
}

export class ShardEvents {
  readonly #options: ShardEventsOptions;
  readonly #texts = new FullFeatureTexts();
  #service: ShardEventsService | undefined;

  constructor(options: ShardEventsOptions) {
    this.#options = options;
  }

  /** From now on there are connections, units change, and what shards say has a meaning. */
  serve(service: ShardEventsService): void {
    this.#service = service;
  }

  onMessage(shard: number, message: ShardMessage): void {
    if (this.#service === undefined) return;
    const { admission, broadcasts, copies, drains, slowCommands, unitResets } = this.#service;
    switch (message.type) {
      case "connectionClosed": {
        const { connectionId, reason, isRecoverable } = message;
        this.#logEnd(connectionId, reason, isRecoverable ? "connection lost, its tasks wait" : "logged out");
        this.#texts.forget(connectionId);
        admission.connectionClosed(connectionId, isRecoverable);
        drains.connectionEnded(connectionId, reason);
        break;
      }
      case "connectionFailed": {
        const { connectionId, reason } = message;
        this.#logEnd(connectionId, reason, "connection lost, its tasks wait");
        this.#options.registry.connectionFailed(connectionId);
        drains.connectionEnded(connectionId, reason);
        break;
      }
      case "sessionEnded":
        this.#onSessionEnded(this.#service, message.sessionId);
        break;
      case "text":
        this.#answerText(this.#service, shard, message);
        break;
      case "unitReset":
        copies.endOnUnit(message.unitIndex);
        void unitResets.begin(shard, message.exchange, message.unitIndex);
        break;
      case "nexusReset":
        void this.#resetNexus(this.#service, shard, message);
        break;
      case "targetColdReset":
        this.#resetTarget(admission, message.targetName);
        break;
      case "loss":
        this.#onLoss(this.#service, shard, message.unitIndex);
        break;
      case "lossHeard": {
        const unit = this.#options.units.at(message.unitIndex);
        if (unit !== undefined) this.#options.unheardLosses.heard(unit.uuid, message.initiatorName);
        break;
      }
      case "done":
        broadcasts.done(shard, message.exchange);
        break;
      case "scsiCommand":
        void answerCommand(this.#service, shard, message);
        break;
      case "scsiAbort":
        slowCommands.abort(shard, message.exchange);
        break;
      case "ready":
      case "stopped":
      case "log":
        // Shards keeps these to itself.
        break;
      default:
        message satisfies never;
    }
  }

  onDeath(shard: number): void {
    for (const { connections } of this.#options.registry.sessionsOfShard(shard)) {
      for (const { connectionId } of connections.values()) {
        this.#texts.forget(connectionId);
        this.#logEnd(connectionId, "its shard died", "logged out");
      }
    }
    this.#service?.admission.shardDied(shard);
    this.#service?.drains.look();
    this.#service?.broadcasts.shardDied(shard);
  }

  /** One line for each connection that ends. */
  #logEnd(connectionId: number, reason: string, text: string): void {
    const found = this.#options.registry.connection(connectionId);
    if (found === undefined) return;
    const { session, connection } = found;
    const { cid, details } = connection;
    this.#options.logger.info({ ...logFields(session), peer: details.peer, cid, shard: session.shard, reason }, text);
  }

  /** Most sessions have ended with their last connection; some are kept for one to come. */
  #onSessionEnded({ admission, drains }: ShardEventsService, sessionId: number): void {
    const { registry, logger } = this.#options;
    const session = registry.session(sessionId);
    admission.sessionEnded(sessionId);
    if (session !== undefined && registry.session(sessionId) === undefined) {
      logger.info({ ...logFields(session), reason: "no connection took its tasks over" }, "logged out");
    }
    drains.look();
  }

  /** The kernel tells every shard of a failed write-back, each when it asks: they all do now, so that one loss is not taken for several. */
  #onLoss({ shards }: ShardEventsService, shard: number, unitIndex: number): void {
    const unit = this.#options.units.at(unitIndex);
    if (unit === undefined) return;
    this.#options.unheardLosses.lost(unit.uuid);
    for (const other of shards.serving()) {
      if (other !== shard) shards.send(other, { type: "hearLosses", unitIndex });
    }
  }

  /** It has logged out, unasked: what it has lost, and was not told of, is nothing to it where it has no other session. */
  #onLogout({ sessionId, identity: { initiatorName }, unitIndexes }: Session): void {
    const { registry, units, unheardLosses } = this.#options;
    const others = [...registry.sessions()].filter(
      (other) => other.sessionId !== sessionId && other.identity.initiatorName === initiatorName,
    );
    const seen = new Set(others.flatMap((other) => other.unitIndexes));
    for (const unitIndex of unitIndexes) {
      const unit = units.at(unitIndex);
      if (unit !== undefined && !seen.has(unitIndex)) unheardLosses.left(unit.uuid, initiatorName);
    }
  }

  /** I_T NEXUS RESET: what ends with a session ends, though the session goes on; or before the answer to its logout. */
  async #resetNexus(
    { copies, shards }: ShardEventsService,
    shard: number,
    { exchange, sessionId, isLogout }: ShardMessage & { type: "nexusReset" },
  ): Promise<void> {
    const { registry, removalPrevention, reservations } = this.#options;
    const session = registry.session(sessionId);
    if (session !== undefined) {
      if (isLogout) this.#onLogout(session);
      copies.sessionClosed(session);
      removalPrevention.sessionClosed(session);
      await reservations.nexusReset(session);
    }
    shards.send(shard, { type: "resetDone", exchange });
  }

  /** "the target MUST treat the TARGET COLD RESET function as a power-on event" (RFC 7143 section 11.5.1): all sessions end, too. */
  #resetTarget(admission: Admission, targetName: string): void {
    const { reservations, units, registry } = this.#options;
    // In force before anybody can have logged in again.
    for (const { unitIndex } of units.records()) void reservations.targetReset(unitIndex, targetName);
    for (const session of [...registry.sessions()]) {
      if (session.identity.targetName === targetName) void admission.endSession(session, "TARGET COLD RESET");
    }
  }

  #answerText(
    { shards, offer, maxRecvDataSegmentLength }: ShardEventsService,
    shard: number,
    message: ShardMessage & { type: "text" },
  ): void {
    const { connectionId, exchange } = message;
    const found = this.#options.registry.connection(connectionId);
    if (found === undefined) return;
    const { session, connection } = found;
    const { localHost, parameters } = connection.details;
    const { targetName } = session.identity;
    const { targets, portals } = offer(session.identity.initiatorName);
    const answer = this.#texts.answer(connectionId, message, {
      target: targets.find(({ name }) => name === targetName),
      portals,
      localHost,
      maxRecvDataSegmentLength: parameters.maxRecvDataSegmentLength,
      nextMaxRecvDataSegmentLength: maxRecvDataSegmentLength(targetName) ?? parameters.maxRecvDataSegmentLength,
    });
    if (answer.kind === "reject") {
      this.#options.logger.info({ ...logFields(session), reason: answer.reason }, "Text Request rejected");
      shards.send(shard, { type: "textReject", connectionId, exchange });
      return;
    }
    const { text, maxSendDataSegmentLength = null, maxRecvDataSegmentLength: ours = null } = answer;
    const lengths = { maxSendDataSegmentLength, maxRecvDataSegmentLength: ours };
    shards.send(shard, { type: "textReply", connectionId, exchange, text, ...lengths });
  }
}

async function answerCommand(
  { shards, slowCommands }: ShardEventsService,
  shard: number,
  message: ShardMessage & { type: "scsiCommand" },
): Promise<void> {
  const { exchange } = message;
  const onBegun = () => shards.send(shard, { type: "scsiBegun", exchange });
  const answer = await slowCommands.execute(message, onBegun);
  shards.send(shard, { type: "scsiAnswer", exchange, answer });
}

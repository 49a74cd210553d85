/**
 * The whole target in one object: units, shards, portals and HTTP, started in this order and stopped in the reverse one.
 * Several can live in one process.
 */
import type { LimitsRecord, LunRecord, ShardMessage, UnitRecord } from "../dataplane/messages.js";
import { LOGIN_STATUS_SERVICE_UNAVAILABLE } from "../dataplane/wire/login-response.js";
import { judgeAccess, targetNamed, visibleTargets } from "./access.js";
import { Administration } from "./administration.js";
import { Admission, type Refusal } from "./admission.js";
import { Broadcasts } from "./broadcasts.js";
import { Budgets } from "./budgets.js";
import { Captures } from "./capture/captures.js";
import type { ConfigurationFile } from "./config/configuration-file.js";
import type { Difference } from "./config/difference.js";
import { formatPortalAddress } from "./config/portal-address.js";
import type { Configuration, HttpConfiguration, LunMapping, UnitConfiguration } from "./config/schema.js";
import { StateDirectory } from "./config/state-directory.js";
import type { ListeningPortal, Offer } from "./discovery.js";
import { Drains } from "./drains.js";
import { FullFeatureTexts } from "./full-feature-text.js";
import type { HttpServer } from "./http/http-server.js";
import type { Metrics } from "./http/metrics.js";
import { InitiatorLimits } from "./initiator-limits.js";
import { ARENA_BYTES, SESSIONS_MAX, STOP_GRACE_MS } from "./limits.js";
import { createLogger, type Logger } from "./logger.js";
import { sessionLimits } from "./login-context.js";
import { Reception } from "./reception.js";
import { Reconfiguration } from "./reconfiguration.js";
import { Redirections } from "./redirection.js";
import { logFields, type Session, type SessionIdentity, SessionRegistry } from "./session-registry.js";
import { Shards } from "./shards.js";
import { SessionStatistics, StatisticsMemory } from "./statistics.js";
import { UnitAdministration } from "./unit-administration.js";
import { UnitCreations } from "./unit-creations.js";
import { UnitResets } from "./unit-resets.js";
import { AsymmetricAccess, type UnitPath } from "./units/access/asymmetric-access.js";
import { AtomicWrites } from "./units/atomic-writes.js";
import { CopyManager } from "./units/copy/copy-manager.js";
import { DataMover } from "./units/copy/data-mover.js";
import { Reaches } from "./units/copy/reach.js";
import { Tolls } from "./units/copy/tolls.js";
import { answerLbaStatus, OPCODE_SERVICE_ACTION_IN_16, SERVICE_ACTION_GET_LBA_STATUS } from "./units/lba-status.js";
import { ModeSelect } from "./units/mode-select.js";
import { Operations } from "./units/operations/operations.js";
import { PrimaryCommands } from "./units/primary-commands.js";
import { RemovalPrevention } from "./units/removal-prevention.js";
import { Reservations } from "./units/reservations/reservations.js";
import { SlowCommands } from "./units/slow-commands.js";
import { StartStop } from "./units/start-stop.js";
import { ThinThresholds } from "./units/thin-thresholds.js";
import { UnheardLosses } from "./units/unheard-losses.js";
import { UnitChanges } from "./units/unit-changes.js";
import { Units } from "./units/units.js";

export interface ServerOptions {
  /** Default: one that logs to standard error at the configured level. */
  readonly logger?: Logger;
  /** Where the configuration came from; absent: from no file. */
  readonly configurationFile?: ConfigurationFile;
  /** Size of each shard's arena. */
  readonly arenaBytes?: number;
  /** The shards' module. Tests may have their own. */
  readonly worker?: URL;
  /**
   * Called when nothing can be served safely any more. Default: the process exits with EXIT_UNSAFE, for its supervisor
   * to start it again.
   */
  readonly onFatal?: (reason: string) => void;
}

/** Exit code of a process whose dead shard could not be drained. */
export const EXIT_UNSAFE = 70;

const DRAINED: Refusal = { status: LOGIN_STATUS_SERVICE_UNAVAILABLE, reason: "drained meanwhile" };

/** HTTP cannot listen. The message says where and why. */
export class HttpError extends Error {
  override readonly name = "HttpError";
}

/** Keys of which less may be in force than is configured. */
const LIMITED_KEYS = ["maxRecvDataSegmentLength", "firstBurstLength"] as const;

export class Server {
  readonly #logger: Logger;
  readonly #statisticsMemory: StatisticsMemory;
  readonly #sessionStatistics: SessionStatistics;
  readonly #budgets: Budgets;
  readonly #initiatorLimits: InitiatorLimits;
  readonly #units: Units;
  readonly #registry: SessionRegistry;
  readonly #texts = new FullFeatureTexts();
  readonly #removalPrevention = new RemovalPrevention();
  readonly #unheardLosses = new UnheardLosses();
  readonly #startedAtMs = Date.now();
  /** What people ask for while it serves. */
  readonly administration: Administration;
  readonly unitAdministration: UnitAdministration;
  readonly unitCreations: UnitCreations;
  #configuration: Configuration;
  // What `#start` makes, in this order. A shard may die, and the start may fail, before all of it is there.
  #stateDirectory!: StateDirectory;
  #atomicWrites!: AtomicWrites;
  #modeSelect!: ModeSelect;
  #reservations!: Reservations;
  #primaryCommands!: PrimaryCommands;
  #access!: AsymmetricAccess;
  #operations!: Operations;
  #thinThresholds: ThinThresholds | undefined;
  #shards!: Shards;
  #captures: Captures | undefined;
  #admission: Admission | undefined;
  #broadcasts: Broadcasts | undefined;
  #unitResets: UnitResets | undefined;
  #copies: CopyManager | undefined;
  #slowCommands: SlowCommands | undefined;
  #startStop: StartStop | undefined;
  #drains: Drains | undefined;
  #reception: Reception | undefined;
  #reconfiguration: Reconfiguration | undefined;
  #metrics!: Metrics;
  #http: HttpServer | undefined;
  #socket: HttpServer | undefined;
  #phase: "starting" | "ready" | "stopping" | "stopped" = "starting";
  #stopped: Promise<void> | undefined;

  private constructor(configuration: Configuration, options: ServerOptions) {
    this.#configuration = configuration;
    this.#logger = options.logger ?? createLogger(configuration.log.level);
    this.#statisticsMemory = new StatisticsMemory(configuration.workers);
    this.#sessionStatistics = new SessionStatistics(this.#statisticsMemory);
    this.#budgets = new Budgets();
    this.#initiatorLimits = new InitiatorLimits(this.#budgets);
    this.#units = new Units(this.#logger, this.#statisticsMemory, this.#budgets);
    this.#registry = new SessionRegistry(Math.floor(Math.random() * 0x10000), SESSIONS_MAX, (session) => {
      this.#sessionStatistics.close(session);
      this.#initiatorLimits.sessionClosed(session);
      this.#copies?.sessionClosed(session);
      this.#reservations.sessionClosed(session);
      this.#removalPrevention.sessionClosed(session);
    });
    this.administration = new Administration(this, options.configurationFile ?? null, this.#logger);
    this.unitAdministration = new UnitAdministration(this, this.administration, this.#logger);
    this.unitCreations = new UnitCreations(this, this.administration, this.#logger);
  }

  /**
   * Resolves when all portals listen and all shards run.
   *
   * @throws PortalError, HttpError, UnitError, StateError, or what a shard says; then nothing is left open.
   */
  static async start(configuration: Configuration, options: ServerOptions = {}): Promise<Server> {
    const server = new Server(configuration, options);
    try {
      await server.#start(options);
    } catch (error) {
      await server.stop(0).catch(() => {});
      throw error;
    }
    return server;
  }

  async #start(options: ServerOptions): Promise<void> {
    const { units, stateDir, workers, affinity, busyPoll, portalGroups, http } = this.#configuration;
    this.#warnOfLimits(this.#configuration);
    this.#stateDirectory = await StateDirectory.open(stateDir);
    this.#atomicWrites = new AtomicWrites(this.#stateDirectory, this.#logger);
    this.#modeSelect = new ModeSelect(this.#stateDirectory, this.#units);
    const targetPorts = (targetName: string) => targetNamed(this.#configuration, targetName)?.portalGroups ?? [];
    this.#primaryCommands = new PrimaryCommands({
      stateDirectory: this.#stateDirectory,
      counted: (unit) => this.#statisticsMemory.read(unit.statisticsBlock),
      sessions: () => this.#registry.sessions(),
      targetPorts,
      http: () => this.httpAddress,
    });
    this.#reservations = new Reservations({
      stateDirectory: this.#stateDirectory,
      registry: this.#registry,
      logger: this.#logger,
      targetPorts,
      unit: (index) => this.#unitAt(index),
    });
    this.#operations = new Operations({
      stateDirectory: this.#stateDirectory,
      units: this.#units,
      logger: this.#logger,
      bytesPerSecond: (unitName) =>
        this.#configuration.units.find(({ name }) => name === unitName)?.eraseBytesPerSecond ?? null,
      conflicts: ({ unit, session }) => this.#reservations.blocked(unit.uuid, session.identity) !== 0,
    });
    this.#access = new AsymmetricAccess({
      stateDirectory: this.#stateDirectory,
      logger: this.#logger,
      configuration: () => this.#configuration,
    });
    await this.#access.begin(await this.#openUnits(units));
    const shards = Shards.start({
      count: workers,
      affinity,
      busyPoll,
      units: () => this.#units.records(),
      statistics: this.#statisticsMemory.shards,
      budgets: this.#budgets.memory,
      arenaBytes: options.arenaBytes ?? ARENA_BYTES,
      logger: this.#logger,
      onMessage: (shard, message) => this.#onMessage(shard, message),
      settled: async (unitIndexes) => this.#copies?.settled(unitIndexes),
      onDeath: (shard) => this.#onDeath(shard),
      onFatal: options.onFatal ?? ((reason) => this.#exit(reason)),
      ...(options.worker === undefined ? {} : { worker: options.worker }),
    });
    // What HTTP needs is half of all the code there is to load: it is, while the shards' threads start.
    const loadingHttp = loadHttp();
    this.#shards = await shards;
    const { HttpServer, Metrics } = await loadingHttp;
    this.#metrics = new Metrics(this);
    this.#shards.tellSlowCommands(this.#configuration.log.slowCommandsMs);
    this.#captures = new Captures(this.#shards);
    const broadcasts = new Broadcasts(this.#shards);
    this.#broadcasts = broadcasts;
    this.#unitResets = new UnitResets(this.#shards, broadcasts, (unitIndex) => this.#onUnitReset(unitIndex));
    this.#slowCommands = new SlowCommands({ units: this.#units, registry: this.#registry, logger: this.#logger });
    this.#slowCommands.register(OPCODE_SERVICE_ACTION_IN_16, answerLbaStatus, SERVICE_ACTION_GET_LBA_STATUS);
    this.#copies = this.#createCopies();
    this.#copies.serve(this.#slowCommands);
    const changes = new UnitChanges(this.#units, this.#broadcasts, this.#shards, this.#copies);
    this.#reservations.serve({
      commands: this.#slowCommands,
      changes,
      onAborted: (unitIndex, sessionIds) => this.#removalPrevention.withdraw(unitIndex, sessionIds),
    });
    this.#access.serve({ commands: this.#slowCommands, changes });
    this.#atomicWrites.serve(this.#slowCommands, this.#shards);
    this.#modeSelect.serve(this.#slowCommands, changes);
    this.#primaryCommands.serve(this.#slowCommands, changes);
    this.#thinThresholds = new ThinThresholds({
      units: () => this.#units.records(),
      sessions: () => this.#registry.sessions(),
      changes,
      logger: this.#logger,
    });
    this.#thinThresholds.start();
    this.#removalPrevention.serve(this.#slowCommands);
    this.#startStop = new StartStop({
      commands: this.#slowCommands,
      changes,
      prevention: this.#removalPrevention,
      unit: (index) => this.#unitAt(index),
    });
    this.#operations.serve({
      commands: this.#slowCommands,
      changes,
      writesEnded: (unitIndex) => this.#shards.writesEnded(unitIndex),
    });
    for (const { unitIndex } of this.#units.records()) this.#operations.resume(unitIndex);
    this.#admission = new Admission(this.#registry, this.#shards, this.#logger, (initiatorName, unitIndexes) =>
      broadcasts.send((exchange) => ({ type: "awaitEnding", exchange, initiatorName, unitIndexes })),
    );
    this.#drains = this.#createDrains(this.#admission);
    this.#reception = this.#createReception(this.#admission, this.#drains);
    for (const { tag, portals } of portalGroups)
      for (const address of portals) await this.#reception.listen(tag, address);
    this.#reconfiguration = new Reconfiguration({
      units: this.#units,
      registry: this.#registry,
      admission: this.#admission,
      broadcasts: this.#broadcasts,
      reception: this.#reception,
      reservations: this.#reservations,
      copies: this.#copies,
      access: this.#access,
      modes: this.#modeSelect,
      initiatorLimits: this.#initiatorLimits,
      operations: this.#operations,
      removalPrevention: this.#removalPrevention,
      unheardLosses: this.#unheardLosses,
      changes,
      shards: this.#shards,
      logger: this.#logger,
      configuration: () => this.#configuration,
      useTls: (tls) => this.#http?.useTls(tls),
      setConfiguration: (configuration) => {
        this.#configuration = configuration;
      },
      openUnits: (units) => this.#openUnits(units),
      drains: this.#drains,
      identities: this.#stateDirectory,
      lunRecords: (luns, identity) => this.#lunRecords(luns, identity),
    });
    if (http !== null) this.#http = await this.#startHttp(HttpServer, http);
    this.#socket = await this.#startSocket(HttpServer);
    this.#phase = "ready";
  }

  // ---- What others may see

  /** Where the portals listen, with their real ports. */
  get portals(): readonly ListeningPortal[] {
    return this.#reception?.portals ?? [];
  }

  get shards(): Shards {
    return this.#shards;
  }

  get sessions(): readonly Session[] {
    return [...this.#registry.sessions()];
  }

  get connectionCount(): number {
    return this.#registry.connectionCount;
  }

  /** Connections in the Login Phase. */
  get unauthenticatedCount(): number {
    return this.#reception?.unauthenticatedCount ?? 0;
  }

  get units(): readonly UnitRecord[] {
    return this.#units.records();
  }

  /** What is taken out of service for the moment. */
  get drains(): Drains {
    return this.#drains!;
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  /** What the unit's commands have come to: a block of dataplane/statistics.ts. */
  unitStatistics({ statisticsBlock }: UnitRecord): Float64Array {
    return this.#statisticsMemory.read(statisticsBlock);
  }

  /** Through which portal groups the unit is reached, and how. */
  unitPaths(unit: UnitRecord): readonly UnitPath[] {
    return this.#access.paths(unit);
  }

  get captures(): Captures {
    return this.#captures!;
  }

  get sessionStatistics(): SessionStatistics {
    return this.#sessionStatistics;
  }

  /** Where HTTP listens; undefined if it does not. */
  get httpAddress() {
    return this.#http?.address;
  }

  get startedAtMs(): number {
    return this.#startedAtMs;
  }

  /** Everything listens and every shard serves. */
  get isReady(): boolean {
    return this.#phase === "ready" && this.#shards.serving().length === this.#shards.count;
  }

  // ---- Start

  /** With all that survived of them; all of them, or none is left open. */
  async #openUnits(units: readonly UnitConfiguration[]): Promise<UnitRecord[]> {
    // Those that are open already have a say: no two units may have one identity.
    const names = new Set(units.map(({ name }) => name));
    const others = this.#configuration.units.filter(({ name }) => !names.has(name));
    const identities = await this.#stateDirectory.unitIdentities([...others, ...units]);
    await allOf(
      units.flatMap(({ name }) => {
        const uuid = identities.get(name)!;
        return [this.#reservations.load(uuid), this.#primaryCommands.load(uuid), this.#access.load(uuid)];
      }),
    );
    try {
      for (const unit of units) await this.#units.openWhenFree(unit, identities.get(unit.name)!);
      await allOf(units.map(({ name }) => this.#atomicWrites.finish(this.#units.find(name)!)));
      await allOf(units.map(({ name }) => this.#modeSelect.load(this.#units.find(name)!)));
      await allOf(units.map(({ name }) => this.#operations.load(this.#units.find(name)!)));
    } catch (error) {
      for (const { name } of units) await this.#units.close(name);
      throw error;
    }
    return units.map(({ name }) => this.#units.find(name)!);
  }

  #createCopies(): CopyManager {
    const reaches = new Reaches({
      registry: this.#registry,
      units: this.#units,
      blocked: (uuid, identity) => this.#reservations.blocked(uuid, identity),
      accessState: (unit, portalGroupTag) => this.#access.state(unit, portalGroupTag),
      grant: (targetName, portalGroupTag, initiatorName) => {
        const access = judgeAccess(this.#configuration, targetName, portalGroupTag, initiatorName);
        return access.kind === "granted" ? access.grant : undefined;
      },
    });
    const mover = new DataMover(
      this.#shards,
      (unitIndex) => this.#unitAt(unitIndex)?.state.notReady === null,
      new Tolls(this.#budgets.memory, (unitIndex) => this.#unitAt(unitIndex)?.limits ?? null),
    );
    return new CopyManager({ reaches, mover, logger: this.#logger });
  }

  #createDrains(admission: Admission): Drains {
    return new Drains({
      registry: this.#registry,
      shards: this.#shards,
      logger: this.#logger,
      endSession: (session, reason) => admission.endSession(session, reason),
    });
  }

  #createReception(admission: Admission, drains: Drains): Reception {
    return new Reception({
      registry: this.#registry,
      admission,
      shards: this.#shards,
      logger: this.#logger,
      redirections: new Redirections({
        registry: this.#registry,
        outOfService: drains,
        configuration: () => this.#configuration,
        portals: () => this.portals,
      }),
      configuration: () => this.#configuration,
      unavailable: ({ portal }, targetName) =>
        drains.hasPortal(portal) || drains.hasTarget(targetName) ? DRAINED : undefined,
      offer: (initiatorName) => this.#offer(initiatorName),
      lunRecords: (luns, identity) => this.#lunRecords(luns, identity),
      statisticsBlock: (session) => this.#sessionStatistics.blockOf(session),
      limits: (session) => this.#limitsRecord(session),
      onLogin: (status) => this.#metrics.countLogin(status),
      onRefused: () => this.#metrics.countRefusedConnection(),
      tap: (initiatorAddress, portalAddress) => this.captures.tap(initiatorAddress, portalAddress),
    });
  }

  async #startHttp(Http: typeof HttpServer, http: HttpConfiguration): Promise<HttpServer> {
    try {
      return await Http.listen(http, this.#configuration.api, this.#httpContext);
    } catch (error) {
      const reason = (error as Error).message;
      throw new HttpError(`HTTP on ${formatPortalAddress(http.listen)} cannot listen: ${reason}`, { cause: error });
    }
  }

  /** Without it all is served, and nothing can be asked by the command line. */
  async #startSocket(Http: typeof HttpServer): Promise<HttpServer | undefined> {
    const { socket } = this.#configuration.api;
    try {
      return await Http.listenAt(socket, this.#httpContext);
    } catch (error) {
      this.#logger.warn({ socket, reason: (error as Error).message }, "no API socket: set another path as api.socket");
      return undefined;
    }
  }

  get #httpContext() {
    return { server: this, administration: this.administration, metrics: this.#metrics, logger: this.#logger };
  }

  /** What is configured and does not work yet is said once, not hidden. */
  #warnOfLimits({ targets }: Configuration): void {
    for (const { name, session } of targets) {
      for (const key of LIMITED_KEYS) {
        const inForce = sessionLimits(session)[key];
        const configured = session[key] ?? inForce;
        if (configured > inForce)
          this.#logger.warn({ target: name, key, configured, inForce }, "less is in force than is configured");
      }
    }
  }

  #lunRecords(luns: readonly LunMapping[], identity: SessionIdentity): LunRecord[] {
    return luns.flatMap(({ lun, unit: name, readOnly }) => {
      const unit = this.#units.find(name);
      if (unit === undefined) return [];
      const blocked = this.#reservations.blocked(unit.uuid, identity);
      const accessState = this.#access.state(unit, Number(identity.portalGroup));
      const hasUnheardLoss = this.#unheardLosses.sees(unit.uuid, identity.initiatorName);
      const { unitIndex } = unit;
      return [{ lun, unitIndex, readOnly: readOnly || unit.readOnly, blocked, accessState, hasUnheardLoss }];
    });
  }

  #limitsRecord(session: Session): LimitsRecord | null {
    const { targetName, portalGroup, initiatorName } = session.identity;
    const access = judgeAccess(this.#configuration, targetName, Number(portalGroup), initiatorName);
    return this.#initiatorLimits.of(session, access.kind === "granted" ? access.grant.limits : null);
  }

  #unitAt(index: number): UnitRecord | undefined {
    return this.#units.at(index);
  }

  // ---- Shards

  #onMessage(shard: number, message: ShardMessage): void {
    switch (message.type) {
      case "connectionClosed": {
        const { connectionId, reason, isRecoverable } = message;
        this.#logEnd(connectionId, reason, isRecoverable ? "connection lost, its tasks wait" : "logged out");
        this.#texts.forget(connectionId);
        this.#admission?.connectionClosed(connectionId, isRecoverable);
        this.#drains?.connectionEnded(connectionId, reason);
        break;
      }
      case "connectionFailed": {
        const { connectionId, reason } = message;
        this.#logEnd(connectionId, reason, "connection lost, its tasks wait");
        this.#registry.connectionFailed(connectionId);
        this.#drains?.connectionEnded(connectionId, reason);
        break;
      }
      case "sessionEnded":
        this.#onSessionEnded(message.sessionId);
        this.#drains?.look();
        break;
      case "text":
        this.#answerText(shard, message);
        break;
      case "unitReset":
        this.#copies?.endOnUnit(message.unitIndex);
        void this.#unitResets?.begin(shard, message.exchange, message.unitIndex);
        break;
      case "nexusReset":
        void this.#resetNexus(shard, message);
        break;
      case "targetColdReset":
        this.#endSessionsOfTarget(message.targetName);
        break;
      case "loss":
        this.#onLoss(shard, message.unitIndex);
        break;
      case "lossHeard": {
        const unit = this.#unitAt(message.unitIndex);
        if (unit !== undefined) this.#unheardLosses.heard(unit.uuid, message.initiatorName);
        break;
      }
      case "done":
        this.#broadcasts?.done(shard, message.exchange);
        break;
      case "scsiCommand":
        void this.#answerCommand(shard, message);
        break;
      case "scsiAbort":
        this.#slowCommands?.abort(shard, message.exchange);
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

  /** One line for each connection that ends. */
  #logEnd(connectionId: number, reason: string, text: string): void {
    const found = this.#registry.connection(connectionId);
    if (found === undefined) return;
    const { session, connection } = found;
    const { cid, details } = connection;
    this.#logger.info({ ...logFields(session), peer: details.peer, cid, shard: session.shard, reason }, text);
  }

  /** Most sessions have ended with their last connection; some are kept for one to come. */
  #onSessionEnded(sessionId: number): void {
    const session = this.#registry.session(sessionId);
    this.#admission?.sessionEnded(sessionId);
    if (session === undefined || this.#registry.session(sessionId) !== undefined) return;
    this.#logger.info({ ...logFields(session), reason: "no connection took its tasks over" }, "logged out");
  }

  /** What a reset does beside aborting the unit's tasks. */
  async #onUnitReset(unitIndex: number): Promise<void> {
    this.#removalPrevention.unitReset(unitIndex);
    this.#primaryCommands.unitReset(unitIndex);
    await this.#reservations.unitReset(unitIndex);
    await this.#startStop?.unitReset(unitIndex);
  }

  /** The kernel tells every shard of a failed write-back, each when it asks: they all do now, so that one loss is not taken for several. */
  #onLoss(shard: number, unitIndex: number): void {
    const unit = this.#unitAt(unitIndex);
    if (unit === undefined) return;
    this.#unheardLosses.lost(unit.uuid);
    for (const other of this.#shards.serving())
      if (other !== shard) this.#shards.send(other, { type: "hearLosses", unitIndex });
  }

  /** It has logged out: what it has lost, and was not told of, is nothing to it where it has no other session. */
  #onLogout({ sessionId, identity: { initiatorName }, unitIndexes }: Session): void {
    const others = this.sessions.filter((other) => other.sessionId !== sessionId);
    for (const unitIndex of unitIndexes) {
      const unit = this.#unitAt(unitIndex);
      const sees = (other: Session) =>
        other.identity.initiatorName === initiatorName && other.unitIndexes.includes(unitIndex);
      if (unit !== undefined && !others.some(sees)) this.#unheardLosses.left(unit.uuid, initiatorName);
    }
  }

  /** I_T NEXUS RESET: what ends with a session ends, though the session goes on; or before the answer to its logout. */
  async #resetNexus(
    shard: number,
    { exchange, sessionId, isLogout }: ShardMessage & { type: "nexusReset" },
  ): Promise<void> {
    const session = this.#registry.session(sessionId);
    if (session !== undefined) {
      if (isLogout) this.#onLogout(session);
      this.#copies?.sessionClosed(session);
      this.#removalPrevention.sessionClosed(session);
      await this.#reservations.nexusReset(session);
    }
    this.#shards.send(shard, { type: "resetDone", exchange });
  }

  /** "the target MUST then close all of its TCP connections to all initiators" (RFC 7143 section 11.6.1). */
  #endSessionsOfTarget(targetName: string): void {
    for (const session of this.sessions) {
      if (session.identity.targetName === targetName) void this.#admission?.endSession(session, "TARGET COLD RESET");
    }
  }

  /** What initiators of this name are told of. */
  #offer(initiatorName: string): Offer {
    const { targets } = this.#configuration;
    const offer = { targets: visibleTargets(this.#configuration, initiatorName), portals: this.portals };
    return this.drains.without(offer, (targetName) =>
      targets.some(({ name, redirect }) => name === targetName && redirect !== null && redirect.to !== null),
    );
  }

  #answerText(shard: number, message: ShardMessage & { type: "text" }): void {
    const { connectionId, exchange } = message;
    const found = this.#registry.connection(connectionId);
    if (found === undefined) return;
    const { session, connection } = found;
    const { localHost, parameters } = connection.details;
    const { targets, portals } = this.#offer(session.identity.initiatorName);
    const answer = this.#texts.answer(connectionId, message, {
      target: targets.find(({ name }) => name === session.identity.targetName),
      portals,
      localHost,
      parameters,
    });
    if (answer.kind === "reject") {
      this.#logger.info({ ...logFields(session), reason: answer.reason }, "Text Request rejected");
      this.#shards.send(shard, { type: "textReject", connectionId, exchange });
      return;
    }
    const { text, maxSendDataSegmentLength = null } = answer;
    this.#shards.send(shard, { type: "textReply", connectionId, exchange, text, maxSendDataSegmentLength });
  }

  async #answerCommand(shard: number, message: ShardMessage & { type: "scsiCommand" }): Promise<void> {
    const { exchange } = message;
    const onBegun = () => this.#shards.send(shard, { type: "scsiBegun", exchange });
    const answer = await this.#slowCommands!.execute(message, onBegun);
    this.#shards.send(shard, { type: "scsiAnswer", exchange, answer });
  }

  #onDeath(shard: number): void {
    for (const { connections } of this.#registry.sessionsOfShard(shard)) {
      for (const { connectionId } of connections.values()) {
        this.#texts.forget(connectionId);
        this.#logEnd(connectionId, "its shard died", "logged out");
      }
    }
    this.#admission?.shardDied(shard);
    this.#drains?.look();
    this.#broadcasts?.shardDied(shard);
  }

  #exit(reason: string): void {
    this.#logger.fatal({ reason }, "exiting, so that no old write lands on newer data");
    process.exit(EXIT_UNSAFE);
  }

  // ---- Reload

  /**
   * Makes the configuration, which has been checked, the one in force, or changes nothing. Sessions that it does not concern
   * go on. What needs a restart is logged, and stays as it was.
   *
   * @param keep see Reconfiguration.apply.
   * @returns what is different.
   * @throws ReconfigurationError
   */
  reload(next: Configuration, keep: () => void = () => {}): Promise<Difference[]> {
    this.#warnOfLimits(next);
    return this.#reconfiguration!.apply(next, keep);
  }

  /** What the change that is being put in force waits for; null: there is none. */
  get reconfigurationStep(): string | null {
    return this.#reconfiguration?.step ?? null;
  }

  /** Ends the session with all its connections and tasks. @returns whether they are gone; false: not in time. */
  async endSession(session: Session, reason: string): Promise<boolean> {
    return (await this.#admission?.endSession(session, reason)) ?? true;
  }

  // ---- Stop

  /**
   * Accepts no more, lets the sessions go within graceMs, makes the units durable and closes everything. May be called
   * again: it is done once. Rejects if something written could not be made durable; all is closed then, too.
   */
  stop(graceMs: number = STOP_GRACE_MS): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    this.#phase = "stopping";
    this.#thinThresholds?.stop();
    this.#reception?.close();
    this.#drains?.stop();
    await this.#copies?.stop();
    // Unset where the start failed before.
    await (this.#shards as Shards | undefined)?.stop(graceMs);
    await this.#captures?.end();
    await (this.#operations as Operations | undefined)?.stopAll();
    const flushed = await this.#units.closeAll();
    await this.#http?.stop();
    await this.#socket?.stop();
    this.#phase = "stopped";
    if (!flushed) throw new Error("not everything that was written could be made durable");
  }
}

async function loadHttp() {
  const [{ HttpServer }, { Metrics }] = await Promise.all([
    import("./http/http-server.js"),
    import("./http/metrics.js"),
  ]);
  return { HttpServer, Metrics };
}

/** Rejects with the first failure in the order given, when all have ended. */
async function allOf(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === "rejected") throw result.reason;
}

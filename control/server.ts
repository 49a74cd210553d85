/**
 * The whole target in one object: units, shards, portals and HTTP, started in this order and stopped in the reverse one.
 * Several can live in one process.
 */
import type { UnitRecord } from "../dataplane/messages.js";
import { LOGIN_STATUS_SERVICE_UNAVAILABLE } from "../dataplane/wire/login-response.js";
import { judgeAccess, targetNamed } from "./access.js";
import { Administration } from "./administration.js";
import { Admission, type Refusal } from "./admission.js";
import { Broadcasts } from "./broadcasts.js";
import { Budgets } from "./budgets.js";
import { Captures } from "./capture/captures.js";
import type { ConfigurationFile } from "./config/configuration-file.js";
import type { Configuration, UnitConfiguration } from "./config/schema.js";
import { StateDirectory } from "./config/state-directory.js";
import type { ListeningPortal } from "./discovery.js";
import { Drains } from "./drains.js";
import { EXIT_UNSAFE } from "./exit-codes.js";
import { FileThread } from "./files/file-thread.js";
import { Grants } from "./grants.js";
import type { Metrics } from "./http/metrics.js";
import { HttpServices } from "./http-services.js";
import { InitiatorLimits } from "./initiator-limits.js";
import { ARENA_BYTES, NEGOTIATION_TIMEOUT_MS, SESSIONS_MAX, STOP_GRACE_MS } from "./limits.js";
import { createLogger, type Logger } from "./logger.js";
import { sessionLimits } from "./login-context.js";
import { Reception } from "./reception.js";
import { type Applied, type ApplyOptions, Reconfiguration } from "./reconfiguration.js";
import { Redirections } from "./redirection.js";
import { type Session, SessionRegistry, SHARD_NONE } from "./session-registry.js";
import { ShardEvents } from "./shard-events.js";
import { settlesWithin } from "./shard-thread.js";
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
import { type Opening, Units } from "./units/units.js";

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

const DRAINED: Refusal = { status: LOGIN_STATUS_SERVICE_UNAVAILABLE, reason: "drained meanwhile" };

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
  readonly #removalPrevention = new RemovalPrevention();
  readonly #startedAtMs = Date.now();
  /** Whatever may have us wait for a file system while it serves. */
  readonly files = new FileThread();
  /** What people ask for while it serves. */
  readonly administration: Administration;
  readonly unitAdministration: UnitAdministration;
  readonly unitCreations: UnitCreations;
  #configuration: Configuration;
  // What `#start` makes, in this order. A shard may die, and the start may fail, before all of it is there.
  #stateDirectory!: StateDirectory;
  #unheardLosses!: UnheardLosses;
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
  #copies: CopyManager | undefined;
  #startStop: StartStop | undefined;
  #drains: Drains | undefined;
  #reception: Reception | undefined;
  #reconfiguration: Reconfiguration | undefined;
  #http: HttpServices | undefined;
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
    const { units, stateDir, workers, affinity, busyPoll, portalGroups, http, api } = this.#configuration;
    this.#warnOfLimits(this.#configuration);
    this.#stateDirectory = await StateDirectory.open(stateDir);
    this.#unheardLosses = new UnheardLosses(this.#stateDirectory, this.#logger);
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
    const events = new ShardEvents({
      registry: this.#registry,
      units: this.#units,
      reservations: this.#reservations,
      removalPrevention: this.#removalPrevention,
      unheardLosses: this.#unheardLosses,
      logger: this.#logger,
    });
    const shards = Shards.start({
      count: workers,
      affinity,
      busyPoll,
      units: () => this.#units.records(),
      statistics: this.#statisticsMemory.shards,
      budgets: this.#budgets.memory,
      arenaBytes: options.arenaBytes ?? ARENA_BYTES,
      logger: this.#logger,
      onMessage: (shard, message) => events.onMessage(shard, message),
      settled: async (unitIndexes) => this.#copies?.settled(unitIndexes),
      onDeath: (shard) => events.onDeath(shard),
      onFatal: options.onFatal ?? ((reason) => this.#exit(reason)),
      ...(options.worker === undefined ? {} : { worker: options.worker }),
    });
    // While the shards' threads start.
    const services = HttpServices.load({ server: this, administration: this.administration, logger: this.#logger });
    this.#shards = await shards;
    this.#http = await services;
    this.#shards.tellSlowCommands(this.#configuration.log.slowCommandsMs);
    this.#captures = new Captures(this.#shards);
    const broadcasts = new Broadcasts(this.#shards);
    const unitResets = new UnitResets(this.#shards, broadcasts, (unitIndex) => this.#onUnitReset(unitIndex));
    const commands = new SlowCommands({ units: this.#units, registry: this.#registry, logger: this.#logger });
    commands.register(OPCODE_SERVICE_ACTION_IN_16, answerLbaStatus, SERVICE_ACTION_GET_LBA_STATUS);
    this.#copies = this.#createCopies();
    this.#copies.serve(commands);
    const changes = new UnitChanges(this.#units, broadcasts, this.#shards, this.#copies);
    this.#reservations.serve({
      commands,
      changes,
      onAborted: (unitIndex, sessionIds) => this.#removalPrevention.withdraw(unitIndex, sessionIds),
    });
    this.#access.serve({ commands, changes });
    this.#atomicWrites.serve(commands, this.#shards);
    this.#modeSelect.serve(commands, changes);
    this.#primaryCommands.serve(commands, changes);
    this.#thinThresholds = new ThinThresholds({
      units: () => this.#units.records(),
      sessions: () => this.#registry.sessions(),
      changes,
      logger: this.#logger,
    });
    this.#thinThresholds.start();
    this.#removalPrevention.serve(commands);
    this.#startStop = new StartStop({
      commands,
      changes,
      prevention: this.#removalPrevention,
      unit: (index) => this.#unitAt(index),
    });
    this.#operations.serve({
      commands,
      changes,
      writesEnded: (unitIndex) => this.#shards.writesEnded(unitIndex),
    });
    const admission = new Admission(this.#registry, this.#shards, this.#logger, (initiatorName, unitIndexes) =>
      broadcasts.send((exchange) => ({ type: "awaitEnding", exchange, initiatorName, unitIndexes })),
    );
    this.#admission = admission;
    this.#drains = new Drains({
      registry: this.#registry,
      shards: this.#shards,
      logger: this.#logger,
      endSession: (session, reason) => admission.endSession(session, reason),
    });
    const grants = new Grants({
      units: this.#units,
      reservations: this.#reservations,
      access: this.#access,
      initiatorLimits: this.#initiatorLimits,
      unheardLosses: this.#unheardLosses,
      drains: this.#drains,
      configuration: () => this.#configuration,
      portals: () => this.portals,
    });
    events.serve({
      shards: this.#shards,
      admission,
      drains: this.#drains,
      broadcasts,
      unitResets,
      copies: this.#copies,
      slowCommands: commands,
      offer: (initiatorName) => grants.offer(initiatorName),
      maxRecvDataSegmentLength: (targetName) => {
        const target = this.#configuration.targets.find(({ name }) => name === targetName);
        return target && sessionLimits(target.session).maxRecvDataSegmentLength;
      },
    });
    for (const { unitIndex } of this.#units.records()) this.#operations.resume(unitIndex);
    this.#reception = this.#createReception(admission, this.#drains, grants, this.#http.metrics);
    for (const { tag, portals } of portalGroups)
      for (const address of portals) await this.#reception.listen(tag, address);
    this.#reconfiguration = new Reconfiguration({
      units: this.#units,
      registry: this.#registry,
      admission,
      broadcasts,
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
      openUnits: (units, opening) => this.#openUnits(units, opening),
      files: this.files,
      drains: this.#drains,
      identities: this.#stateDirectory,
      lunRecords: (luns, identity) => grants.lunRecords(luns, identity),
    });
    await this.#http.listen(http, api);
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

  /** Of the unit's file: see Units. */
  fileIdentity(unitName: string): string | undefined {
    return this.#units.fileIdentity(unitName);
  }

  // ---- Start

  /** With all that survived of them; all of them, or none is left open. */
  async #openUnits(units: readonly UnitConfiguration[], opening?: Opening): Promise<UnitRecord[]> {
    // Those that are open already have a say: no two units may have one identity.
    const names = new Set(units.map(({ name }) => name));
    const others = this.#configuration.units.filter(({ name }) => !names.has(name));
    const identities = await this.#stateDirectory.unitIdentities([...others, ...units]);
    await allOf(
      units.flatMap(({ name }) => {
        const uuid = identities.get(name)!;
        return [this.#reservations, this.#primaryCommands, this.#access, this.#unheardLosses].map((kept) =>
          kept.load(uuid),
        );
      }),
    );
    try {
      for (const unit of units) await this.#units.openWhenFree(unit, identities.get(unit.name)!, opening);
      await allOf(units.map(({ name }) => this.#atomicWrites.finish(this.#units.find(name)!)));
      await allOf(units.map(({ name }) => this.#modeSelect.load(this.#units.find(name)!)));
      await allOf(units.map(({ name }) => this.#operations.load(this.#units.find(name)!)));
    } catch (error) {
      for (const unit of units) await this.#units.takeBack(unit, opening);
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
      ({ uuid }) => this.#unheardLosses.lost(uuid),
      new Tolls(this.#budgets.memory, (unitIndex) => this.#unitAt(unitIndex)?.limits ?? null),
    );
    return new CopyManager({ reaches, mover, logger: this.#logger });
  }

  #createReception(admission: Admission, drains: Drains, grants: Grants, metrics: Metrics): Reception {
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
      offer: (initiatorName) => grants.offer(initiatorName),
      lunRecords: (luns, identity) => grants.lunRecords(luns, identity),
      statisticsBlock: (session) => this.#sessionStatistics.blockOf(session),
      limits: (session) => grants.limits(session),
      onLogin: (status) => metrics.countLogin(status),
      onRefused: () => metrics.countRefusedConnection(),
      tap: (initiatorAddress, portalAddress) => this.captures.tap(initiatorAddress, portalAddress),
    });
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

  #unitAt(index: number): UnitRecord | undefined {
    return this.#units.at(index);
  }

  // ---- What happens

  /** What a reset does beside aborting the unit's tasks. */
  async #onUnitReset(unitIndex: number): Promise<void> {
    this.#removalPrevention.unitReset(unitIndex);
    this.#primaryCommands.unitReset(unitIndex);
    await this.#reservations.unitReset(unitIndex);
    await this.#startStop?.unitReset(unitIndex);
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
   * @throws ReconfigurationError
   */
  reload(next: Configuration, options: ApplyOptions = {}): Promise<Applied> {
    this.#warnOfLimits(next);
    return this.#reconfiguration!.apply(next, options);
  }

  /** What the change that is being put in force waits for; null: there is none. */
  get reconfigurationStep(): string | null {
    return this.#reconfiguration?.step ?? null;
  }

  /** Ends the session with all its connections and tasks. @returns whether they are gone; false: not in time. */
  async endSession(session: Session, reason: string): Promise<boolean> {
    return (await this.#admission?.endSession(session, reason)) ?? true;
  }

  /**
   * Asks the initiator to negotiate anew, where what the target declares has changed since it logged in.
   *
   * @returns on how many connections.
   */
  requestNegotiation({ shard, connections }: Session): number {
    if (shard === SHARD_NONE) return 0;
    const connectionIds = [...connections.values()]
      .filter(({ hasFailed }) => !hasFailed)
      .map(({ connectionId }) => connectionId);
    this.#shards.send(shard, { type: "requestNegotiation", connectionIds, timeoutMs: NEGOTIATION_TIMEOUT_MS });
    return connectionIds.length;
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
    await settlesWithin(this.unitCreations.stop(), STOP_GRACE_MS);
    await this.#copies?.stop();
    // Unset where the start failed before.
    await (this.#shards as Shards | undefined)?.stop(graceMs);
    await this.#captures?.end();
    await (this.#operations as Operations | undefined)?.stopAll();
    const unflushed = await this.#units.closeAll();
    const unheardLosses = this.#unheardLosses as UnheardLosses | undefined;
    for (const { uuid } of unflushed) unheardLosses?.lost(uuid);
    await unheardLosses?.saved;
    await this.#http?.stop();
    this.#phase = "stopped";
    if (unflushed.length > 0) throw new Error("not everything that was written could be made durable");
  }
}

/** Rejects with the first failure in the order given, when all have ended. */
async function allOf(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === "rejected") throw result.reason;
}

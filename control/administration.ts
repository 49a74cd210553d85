/**
 * Changes that people ask for while the target serves: each is judged whole, done whole or not at all, and answered within
 * its time.
 */
import type { ConfigurationFile, PreparedFile } from "./config/configuration-file.js";
import type { Difference } from "./config/difference.js";
import { EditError } from "./config/edits/edit-error.js";
import type { Fault } from "./config/fault.js";
import { realPath } from "./config/named-files.js";
import type { Configuration } from "./config/schema.js";
import { YamlTextError } from "./config/yaml-stretch.js";
import type { YamlText } from "./config/yaml-text.js";
import { continuityOf, differencesBetween } from "./continuity.js";
import { isBelowAny } from "./files/file-roots.js";
import { ADMINISTRATION_TIMEOUT_MS } from "./limits.js";
import type { Logger } from "./logger.js";
import { ReconfigurationError } from "./reconfiguration.js";
import type { Server } from "./server.js";

/** Why nothing was done. */
export type RefusalReason =
  /** What it is about is not there. */
  | "notFound"
  /** What was asked for has faults. */
  | "invalid"
  /** It would reach for files that requests may not reach. */
  | "forbidden"
  /** It cannot be had now, or the file is no longer what it was. */
  | "conflict"
  /** It has not ended in time: it goes on, or is in force and not done in full, or was not begun. */
  | "timeout";

export type ChangeResult =
  | {
      readonly ok: true;
      readonly differences: readonly Difference[];
      readonly warnings: readonly Fault[];
      /** What is in force, and goes on: see Applied. */
      readonly unfinished: readonly string[];
    }
  | { readonly ok: false; readonly reason: RefusalReason; readonly message: string; readonly faults: readonly Fault[] };

export interface ApplyOptions {
  /** Only says what would change. */
  readonly dryRun?: boolean;
  /** The digest of the text that the new one was made from. */
  readonly basis?: string;
}

export interface EditOptions {
  readonly dryRun?: boolean;
  /** Done when the change is in force, before any other change. */
  readonly afterwards?: () => Promise<void>;
}

/** Changes the text of the configuration in force, which it is given too. Throws EditError where it refuses. */
export type Edit = (yaml: YamlText, configuration: Configuration) => void;

export class Administration {
  readonly #server: Server;
  readonly #file: ConfigurationFile | null;
  readonly #logger: Logger;
  /** Ends with the change that was asked for last: between its check and its commit nothing else changes the file. */
  #last: Promise<unknown> = Promise.resolve();
  /** What the change under way is at, before the server has it; null: nothing. */
  #step: string | null = null;
  /** `api.fileRoots` of the text in force: what people have written there, and what counts from the next start on. */
  #rootsOfNextStart: readonly string[];

  /** `file`: null where the configuration did not come from one. */
  constructor(server: Server, file: ConfigurationFile | null, logger: Logger) {
    this.#server = server;
    this.#file = file;
    this.#logger = logger;
    this.#rootsOfNextStart = server.configuration.api.fileRoots;
  }

  /** Of the text in force; null where there is none. */
  get digest(): string | null {
    return this.#file?.digest ?? null;
  }

  /** The file is read again. */
  reload(): Promise<ChangeResult> {
    return this.#inTurn(async () => {
      if (this.#file === null) return refusal("conflict", NO_FILE);
      const unreachable = await this.#look(this.#file.filesNamed());
      if (unreachable !== undefined) return unreachable;
      const result = this.#file.load();
      if (!result.ok) return refusal("invalid", "the configuration has faults", result.faults);
      const changed = await this.#putInForce(result.configuration);
      if (!changed.ok) return changed;
      this.#file.accept(result.digest);
      return { ...changed, warnings: result.warnings };
    });
  }

  /** The text becomes the configuration in force, and the file. */
  apply(bytes: Uint8Array, options: ApplyOptions = {}): Promise<ChangeResult> {
    return this.#inTurn(() => this.#put(bytes, options));
  }

  /** What the edit makes of the file's text becomes the configuration in force, and the file. */
  edit(edit: Edit, { dryRun = false, afterwards }: EditOptions = {}): Promise<ChangeResult> {
    return this.#inTurn(async () => {
      if (this.#file === null) return refusal("conflict", NO_FILE);
      try {
        const yaml = this.#file.yamlAsLoaded();
        if (yaml === undefined) return refusal("conflict", hasChanged(this.#file));
        edit(yaml, this.#server.configuration);
        const result = await this.#put(Buffer.from(yaml.toString()), { dryRun });
        if (result.ok && !dryRun) await afterwards?.();
        return result;
      } catch (error) {
        if (error instanceof EditError) return refusal(error.reason, error.message);
        if (error instanceof YamlTextError) {
          return refusal("conflict", `${this.#file.path}: ${error.message}: change it by hand, and reload it`);
        }
        throw error;
      }
    });
  }

  async #put(bytes: Uint8Array, { dryRun = false, basis }: ApplyOptions): Promise<ChangeResult> {
    const file = this.#file;
    if (file === null) return refusal("conflict", NO_FILE);
    if (basis !== undefined && basis !== file.digest) {
      return refusal(
        "conflict",
        "another configuration is in force than the one that this was made from: read it again",
      );
    }
    const unreachable = await this.#look(file.filesNamed(bytes));
    if (unreachable !== undefined) return unreachable;
    const result = file.check(bytes);
    if (!result.ok) return refusal("invalid", "the configuration has faults", result.faults);
    const { configuration, warnings } = result;
    const outside = [...this.#widenedRoots(configuration), ...this.#outsideRoots(configuration)];
    if (outside.length > 0) return refusal("forbidden", outside.join("; "));
    if (dryRun) {
      const { configuration: current, units } = this.#server;
      return {
        ok: true,
        differences: differencesBetween(continuityOf(current, configuration, units), configuration, units),
        warnings,
        unfinished: [],
      };
    }
    if (!file.isAsLoaded()) return refusal("conflict", hasChanged(file));
    this.#step = `writing ${file.path}`;
    let prepared: PreparedFile;
    try {
      prepared = await file.prepare(bytes);
    } catch (error) {
      return refusal("conflict", (error as Error).message);
    }
    this.#step = null;
    const keep = async () => {
      // Somebody may have written it while units were opened.
      if (!file.isAsLoaded()) throw new Error(hasChanged(file));
      const reason = await prepared.commit();
      if (reason !== null)
        this.#logger.error({ file: file.path, reason }, "configuration written, and may not survive a loss of power");
    };
    const changed = await this.#putInForce(configuration, keep, this.#server.configuration.api.fileRoots);
    if (!changed.ok) {
      await prepared.discard();
      return changed;
    }
    this.#logger.info({ file: file.path }, "configuration written");
    return { ...changed, warnings };
  }

  /** Asks for the files that a text names, so that its check does not wait for a file system that does not answer. */
  async #look(paths: readonly string[]): Promise<ChangeResult | undefined> {
    this.#step = `looking at the files of ${paths.length} units`;
    try {
      await this.#server.files.run("look", paths);
      return undefined;
    } catch (error) {
      return refusal(
        "conflict",
        `the files of units cannot be looked at: ${(error as Error).message}; nothing has changed`,
      );
    } finally {
      this.#step = null;
    }
  }

  /** @returns whether it has ended; undefined where there is none. */
  async endSession(sessionId: number, reason: string): Promise<boolean | undefined> {
    const session = this.#server.sessions.find((other) => other.sessionId === sessionId);
    return session && this.#server.endSession(session, reason);
  }

  /** @returns on how many connections its initiator is asked to negotiate anew; undefined: there is no such session. */
  requestNegotiation(sessionId: number): number | undefined {
    const session = this.#server.sessions.find((other) => other.sessionId === sessionId);
    return session && this.#server.requestNegotiation(session);
  }

  async #putInForce(
    configuration: Configuration,
    keep: () => Promise<void> = async () => {},
    roots: readonly string[] | null = null,
  ): Promise<ChangeResult> {
    try {
      const applied = await this.#server.reload(configuration, { keep, roots });
      this.#rootsOfNextStart = configuration.api.fileRoots;
      return { ok: true, ...applied, warnings: [] };
    } catch (error) {
      if (error instanceof ReconfigurationError) return refusal("conflict", error.message);
      throw error;
    }
  }

  /** Whether a file is one that requests may make or remove: it is below a folder of api.fileRoots, with all links followed. */
  reaches(path: string): boolean {
    return isBelowAny(realPath(path), this.#server.configuration.api.fileRoots);
  }

  /** What requests may reach is for people to say, in the file itself. */
  #widenedRoots({ api }: Configuration): string[] {
    const roots = this.#rootsOfNextStart;
    return api.fileRoots
      .filter((root) => !roots.includes(root) && !isBelowAny(realPath(root), roots))
      .map((root) => `api.fileRoots: requests do not add ${root}: write it into the file, and start anew`);
  }

  /** Units that requests add may use no file but below the roots; what is in force already, people have put there. */
  #outsideRoots({ units }: Configuration): string[] {
    const { configuration } = this.#server;
    const known = new Set(configuration.units.flatMap((unit) => (unit.kind === "file" ? [unit.path] : [])));
    return units.flatMap((unit) => {
      if (unit.kind !== "file" || known.has(unit.path)) return [];
      if (this.reaches(unit.path)) return [];
      return [`unit ${unit.name}: ${unit.path} is in none of the folders that api.fileRoots lists`];
    });
  }

  /** What has not begun when its time is over is not done any more: whoever asked for it has been told so. */
  #inTurn(change: () => Promise<ChangeResult>): Promise<ChangeResult> {
    let phase: "waits" | "goes on" | "is over" = "waits";
    const begin = (): Promise<ChangeResult> | ChangeResult => {
      if (phase === "is over") return refusal("timeout", "not begun");
      phase = "goes on";
      return change();
    };
    const turn = this.#last
      .then(begin)
      .then((result) => (result.ok && result.unfinished.length > 0 ? unfinishedResult(result.unfinished) : result));
    this.#last = turn
      .catch(() => {})
      .finally(() => {
        this.#step = null;
      });
    let timer: NodeJS.Timeout;
    const late = new Promise<ChangeResult>((resolve) => {
      timer = setTimeout(() => {
        resolve(refusal("timeout", phase === "waits" ? this.#lateness() : this.#progress()));
        if (phase === "waits") phase = "is over";
      }, ADMINISTRATION_TIMEOUT_MS);
    });
    return Promise.race([turn, late]).finally(() => clearTimeout(timer));
  }

  #progress(): string {
    return `not done within ${SECONDS} s${this.#whereabouts()}; it goes on, and the log says how it ends`;
  }

  #lateness(): string {
    return `another change has not ended within ${SECONDS} s${this.#whereabouts()}; this one was not begun, and nothing has changed`;
  }

  #whereabouts(): string {
    const step = this.#step ?? this.#server.reconfigurationStep;
    return step === null ? "" : `: it is ${step}`;
  }
}

const SECONDS = ADMINISTRATION_TIMEOUT_MS / 1000;
const NO_FILE = "there is no configuration file: this was started without one";

function refusal(reason: RefusalReason, message: string, faults: readonly Fault[] = []): ChangeResult {
  return { ok: false, reason, message, faults };
}

/** How far it came, of what is in force. */
function unfinishedResult(unfinished: readonly string[]): ChangeResult {
  return refusal(
    "timeout",
    `it is in force, but not done in full: ${unfinished.join("; ")}; that goes on, and the log says how it ends`,
  );
}

function hasChanged({ path }: ConfigurationFile): string {
  return `${path} has changed since it was read: reload it first, or put the change in it`;
}

/**
 * Changes that people ask for while the target serves: each is judged whole, done whole or not at all, and answered within
 * its time.
 */
import { realpathSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import type { ConfigurationFile } from "./config/configuration-file.js";
import { type Difference, differences } from "./config/difference.js";
import type { Fault } from "./config/fault.js";
import type { Configuration } from "./config/schema.js";
import { ADMINISTRATION_TIMEOUT_MS } from "./limits.js";
import type { Logger } from "./logger.js";
import { ReconfigurationError } from "./reconfiguration.js";
import type { Server } from "./server.js";

/** Why nothing was done. */
export type RefusalReason =
  /** What was asked for has faults. */
  | "invalid"
  /** It would reach for files that requests may not reach. */
  | "forbidden"
  /** It cannot be had now, or the file is no longer what it was. */
  | "conflict"
  /** It goes on, and has not ended in time. */
  | "timeout";

export type ChangeResult =
  | { readonly ok: true; readonly differences: readonly Difference[]; readonly warnings: readonly Fault[] }
  | { readonly ok: false; readonly reason: RefusalReason; readonly message: string; readonly faults: readonly Fault[] };

export interface ApplyOptions {
  /** Only says what would change. */
  readonly dryRun?: boolean;
  /** The digest of the text that the new one was made from. */
  readonly basis?: string;
}

export class Administration {
  readonly #server: Server;
  readonly #file: ConfigurationFile | null;
  readonly #logger: Logger;
  /** Ends with the change that was asked for last: between its check and its commit nothing else changes the file. */
  #last: Promise<unknown> = Promise.resolve();

  /** `file`: null where the configuration did not come from one. */
  constructor(server: Server, file: ConfigurationFile | null, logger: Logger) {
    this.#server = server;
    this.#file = file;
    this.#logger = logger;
  }

  /** Of the text in force; null where there is none. */
  get digest(): string | null {
    return this.#file?.digest ?? null;
  }

  /** The file is read again. */
  reload(): Promise<ChangeResult> {
    return this.#inTurn(async () => {
      if (this.#file === null) return refusal("conflict", NO_FILE);
      const result = this.#file.load();
      if (!result.ok) return refusal("invalid", "the configuration has faults", result.faults);
      const changed = await this.#putInForce(result.configuration);
      if (!changed.ok) return changed;
      this.#file.accept(result.digest);
      return { ...changed, warnings: result.warnings };
    });
  }

  /** The text becomes the configuration in force, and the file. */
  apply(bytes: Uint8Array, { dryRun = false, basis }: ApplyOptions = {}): Promise<ChangeResult> {
    return this.#inTurn(async () => {
      const file = this.#file;
      if (file === null) return refusal("conflict", NO_FILE);
      if (basis !== undefined && basis !== file.digest) {
        return refusal(
          "conflict",
          "another configuration is in force than the one that this was made from: read it again",
        );
      }
      const result = file.check(bytes);
      if (!result.ok) return refusal("invalid", "the configuration has faults", result.faults);
      const { configuration, warnings } = result;
      const outside = this.#outsideRoots(configuration);
      if (outside.length > 0) return refusal("forbidden", outside.join("; "));
      if (dryRun) return { ok: true, differences: differences(this.#server.configuration, configuration), warnings };
      if (!file.isAsLoaded()) {
        return refusal(
          "conflict",
          `${file.path} has changed since it was read: reload it first, or put the change in it`,
        );
      }
      let prepared: ReturnType<ConfigurationFile["prepare"]>;
      try {
        prepared = file.prepare(bytes);
      } catch (error) {
        return refusal("conflict", `${file.path} cannot be written: ${(error as Error).message}`);
      }
      const changed = await this.#putInForce(configuration);
      if (!changed.ok) {
        prepared.discard();
        return changed;
      }
      prepared.commit();
      this.#logger.info({ file: file.path }, "configuration written");
      return { ...changed, warnings };
    });
  }

  /** @returns whether it has ended; undefined where there is none. */
  async endSession(sessionId: number, reason: string): Promise<boolean | undefined> {
    const session = this.#server.sessions.find((other) => other.sessionId === sessionId);
    return session && this.#server.endSession(session, reason);
  }

  async #putInForce(configuration: Configuration): Promise<ChangeResult> {
    try {
      return { ok: true, differences: await this.#server.reload(configuration), warnings: [] };
    } catch (error) {
      if (error instanceof ReconfigurationError) return refusal("conflict", error.message);
      throw error;
    }
  }

  /** Units that requests add may use no file but below the roots; what is in force already, people have put there. */
  #outsideRoots({ units }: Configuration): string[] {
    const { configuration } = this.#server;
    const roots = configuration.api.fileRoots.map(realPath);
    const known = new Set(configuration.units.flatMap((unit) => (unit.kind === "file" ? [unit.path] : [])));
    return units.flatMap((unit) => {
      if (unit.kind !== "file" || known.has(unit.path)) return [];
      const path = realPath(unit.path);
      if (roots.some((root) => isBelow(path, root))) return [];
      return [`unit ${unit.name}: ${unit.path} is in none of the folders that api.fileRoots lists`];
    });
  }

  #inTurn(change: () => Promise<ChangeResult>): Promise<ChangeResult> {
    const turn = this.#last.then(change);
    this.#last = turn.catch(() => {});
    let timer: NodeJS.Timeout;
    const late = new Promise<ChangeResult>((resolve) => {
      const message = `not done within ${ADMINISTRATION_TIMEOUT_MS / 1000} s; it goes on, and the log says how it ends`;
      timer = setTimeout(() => resolve(refusal("timeout", message)), ADMINISTRATION_TIMEOUT_MS);
    });
    return Promise.race([turn, late]).finally(() => clearTimeout(timer));
  }
}

const NO_FILE = "there is no configuration file: this was started without one";

function refusal(reason: RefusalReason, message: string, faults: readonly Fault[] = []): ChangeResult {
  return { ok: false, reason, message, faults };
}

/** With all links followed; of what is not there, its folder's. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const folder = dirname(path);
    return folder === path ? path : join(realPath(folder), basename(path));
  }
}

function isBelow(path: string, root: string): boolean {
  const from = relative(root, path);
  return from !== "" && from !== ".." && !from.startsWith("../");
}

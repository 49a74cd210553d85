/** Units that people create, change and delete while the target serves, and what becomes of their files. */
import { lstatSync } from "node:fs";
import type { Administration, ChangeResult } from "./administration.js";
import { EditError } from "./config/edits/edit-error.js";
import { addUnit, changeUnit, removeUnit, renameUnit, type UnitKeys, type UnitMapping } from "./config/edits/units.js";
import { systemReason } from "./config/named-files.js";
import type { UnitConfiguration } from "./config/schema.js";
import { identityOf } from "./files/file-roots.js";
import type { Logger } from "./logger.js";
import type { Server } from "./server.js";

export interface UnitRequest {
  readonly name: string;
  readonly keys: UnitKeys;
  readonly mappings: readonly UnitMapping[];
}

/** What has become of the file of a unit that is gone. */
export interface FileOutcome {
  readonly path: string;
  readonly deleted: boolean;
  /** Why it was not, although it was asked for. */
  readonly reason: string | null;
}

export type DeletionResult = ChangeResult & { readonly file?: FileOutcome };

export class UnitAdministration {
  readonly #server: Server;
  readonly #administration: Administration;
  readonly #logger: Logger;

  constructor(server: Server, administration: Administration, logger: Logger) {
    this.#server = server;
    this.#administration = administration;
    this.#logger = logger;
  }

  create({ name, keys, mappings }: UnitRequest): Promise<ChangeResult> {
    return this.#administration.edit((yaml) => addUnit(yaml, name, keys, mappings));
  }

  /** @param rename its name from now on; it stays the same disk. */
  change(name: string, keys: UnitKeys, rename?: string): Promise<ChangeResult> {
    return this.#administration.edit((yaml) => {
      const unit = this.#server.units.find((candidate) => candidate.name === name);
      changeUnit(yaml, name, keys, unit?.state.sizeBytes ?? 0);
      if (rename === undefined || rename === name) return;
      if (unit === undefined) throw new EditError("notFound", `unit ${name} is not open`);
      // What has a file is known by that.
      renameUnit(yaml, name, rename, unit.kind === "null" ? unit.uuid : null);
    });
  }

  /** @param force although it is mapped. */
  async delete(name: string, options: { force: boolean; deleteFile: boolean }): Promise<DeletionResult> {
    const unit = this.#server.configuration.units.find((candidate) => candidate.name === name);
    let file: FileOutcome | undefined;
    let identity: string | null = null;
    const result = await this.#administration.edit(
      (yaml) => {
        if (options.deleteFile && unit !== undefined) identity = this.#judgeFile(unit);
        removeUnit(yaml, name, options.force);
      },
      {
        afterwards: async () => {
          if (unit?.kind === "file") file = await this.#letGo(unit.name, unit.path, identity);
        },
      },
    );
    return file === undefined ? result : { ...result, file };
  }

  /** Throws where the unit's file is not one that may be deleted. @returns which it is */
  #judgeFile(unit: UnitConfiguration): string {
    const { name } = unit;
    if (unit.kind !== "file") throw new EditError("invalid", `unit ${name} has no file to delete`);
    if (this.#server.units.find((candidate) => candidate.name === name)?.kind === "block") {
      throw new EditError(
        "invalid",
        `unit ${name} is the device ${unit.path}: what is on it can be erased, it cannot be deleted`,
      );
    }
    if (!this.#administration.reaches(unit.path)) {
      throw new EditError(
        "forbidden",
        `${unit.path} is in none of the folders that api.fileRoots lists: delete it by hand when the unit is gone`,
      );
    }
    const identity = this.#server.fileIdentity(name);
    const found = lstatSync(unit.path, { bigint: true, throwIfNoEntry: false });
    if (identity === undefined || found === undefined || identityOf(found) !== identity) {
      const what = found?.isSymbolicLink() ? "a link" : "not the file that the unit has";
      throw new EditError("conflict", `${unit.path} is ${what}: delete it by hand when the unit is gone`);
    }
    return identity;
  }

  /** @param identity of the file that is to be deleted; null: it stays. */
  async #letGo(name: string, path: string, identity: string | null): Promise<FileOutcome> {
    if (identity === null) return { path, deleted: false, reason: null };
    try {
      if (this.#server.units.some((unit) => unit.name === name)) throw new Error("it is still in use");
      await this.#server.files.run("remove", path, identity, this.#server.configuration.api.fileRoots);
      this.#logger.info({ unit: name, path }, "file of a unit deleted");
      return { path, deleted: true, reason: null };
    } catch (error) {
      const reason = systemReason(error);
      this.#logger.error({ unit: name, path, reason }, "file of a unit not deleted");
      return { path, deleted: false, reason };
    }
  }
}

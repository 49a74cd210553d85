/** What must survive a restart (stateDir). */
import assert from "node:assert/strict";
import { createHash, randomBytes, randomUUID } from "node:crypto";
import * as nodeFiles from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import * as z from "zod";
import { systemReason } from "./named-files.js";

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const FORMAT_VERSION = 1;
const DOCUMENT_NAME = /^[a-z0-9][a-z0-9-]*$/;
const LEFTOVER = /^\.[a-z0-9-]+\.[0-9a-f]{16}\.tmp$/;
const IDENTITIES = "unit-identities";

/** What the state directory needs of a file system: a part of node:fs/promises. */
export interface StateFiles {
  mkdir(path: string, mode: number): Promise<unknown>;
  readdir(path: string): Promise<string[]>;
  readFile(path: string): Promise<Uint8Array>;
  /** "wx" creates a file that must not exist, "r" opens a file or folder. */
  open(path: string, flags: "r" | "wx", mode?: number): Promise<StateFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
}

export interface StateFile {
  write(bytes: Uint8Array, offset: number, length: number): Promise<{ readonly bytesWritten: number }>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The message names the file, what is wrong with it, and what to do. */
export class StateError extends Error {
  override readonly name = "StateError";
}

/** The document is there, and cannot be understood. */
export class DamagedStateError extends StateError {}

const envelope = z.strictObject({ version: z.int(), sha256: z.string(), data: z.unknown() });
const identity = z.strictObject({ name: z.string(), id: z.uuid() });
const identities = z.strictObject({ units: z.array(identity) });
type NamedIdentity = z.output<typeof identity>;

/**
 * The folder for what must survive a restart: small JSON documents, each in a file of its own, `NAME.json`.
 *
 * A write makes a temporary file in the same folder, syncs it, renames it over the document and syncs the folder. So a
 * process killed at any moment, or a machine that loses power, leaves the old document or the new one, and `write`
 * resolves only when the new one is durable. A document carries a checksum: a damaged one is refused, never taken for
 * a missing one. Writes are done one after the other, in the order of the calls.
 *
 * Two processes must not use one folder at the same time; the locks on the units see to that.
 */
export class StateDirectory {
  readonly path: string;
  readonly #files: StateFiles;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(path: string, files: StateFiles) {
    this.path = path;
    this.#files = files;
  }

  /** Makes the folder if it is not there, and removes what a killed process has left in it. */
  static async open(path: string, files: StateFiles = nodeFiles): Promise<StateDirectory> {
    const directory = new StateDirectory(path, files);
    await directory.#prepare();
    return directory;
  }

  /** Null where the document was never written. Rejects with a StateError where it cannot be trusted. */
  async read<T>(name: string, schema: z.ZodType<T>): Promise<T | null> {
    const path = this.pathOf(name);
    let bytes: Uint8Array;
    try {
      bytes = await this.#files.readFile(path);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return null;
      throw new StateError(`${path} cannot be read: ${systemReason(error)}`, { cause: error });
    }
    let json: unknown;
    try {
      json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch (error) {
      throw damaged(path, "it is not JSON", error);
    }
    const wrapped = envelope.safeParse(json);
    if (!wrapped.success) throw damaged(path, "it is not a state document", wrapped.error);
    const { version, sha256, data } = wrapped.data;
    if (version !== FORMAT_VERSION) {
      throw new StateError(
        `${path} has format ${version}, this program knows format ${FORMAT_VERSION}: use the program that wrote it`,
      );
    }
    if (sha256 !== checksum(data)) throw damaged(path, "its checksum is wrong", undefined);
    const content = schema.safeParse(data);
    if (!content.success) throw damaged(path, "its content has an unexpected form", content.error);
    return content.data;
  }

  /** Replaces the document by what `data` is at the time of the call. Resolves when that is durable. */
  write(name: string, data: unknown): Promise<void> {
    const path = this.pathOf(name);
    const bytes = encode(data);
    return this.#enqueue(() => this.#replace(path, bytes));
  }

  /** Removes the document, if there is one. Resolves when that is durable; where it rejects, it may be there or not: call it again. */
  remove(name: string): Promise<void> {
    const path = this.pathOf(name);
    return this.#enqueue(async () => {
      try {
        await this.#files.unlink(path).catch((error) => {
          if (codeOf(error) !== "ENOENT") throw error;
        });
        await this.#syncFolder(this.path);
      } catch (error) {
        throw new StateError(`${path} cannot be removed: ${systemReason(error)}`, { cause: error });
      }
    });
  }

  /**
   * The identity of each unit: the configured one, else the one kept here under the unit's name, else a new one, which
   * is kept before this resolves. Kept ones are neither changed nor forgotten: a unit that comes back is the same.
   * Rejects where two units would have one identity.
   */
  unitIdentities(
    units: readonly { readonly name: string; readonly id: string | null }[],
  ): Promise<ReadonlyMap<string, string>> {
    return this.#enqueue(async () => {
      const document = await this.read(IDENTITIES, identities);
      const kept = new Map(document?.units.map(({ name, id }) => [name, id]));
      const result = new Map<string, string>();
      const owners = new Map<string, string>();
      let made = false;
      for (const { name, id: configured } of units) {
        const id = configured ?? kept.get(name) ?? randomUUID();
        if (configured === null && !kept.has(name)) {
          kept.set(name, id);
          made = true;
        }
        const owner = owners.get(id);
        if (owner !== undefined) {
          throw new StateError(
            `units ${JSON.stringify(owner)} and ${JSON.stringify(name)} have the same identity, ${id}: ` +
              `give one of them another id in the configuration (identities are kept in ${this.pathOf(IDENTITIES)})`,
          );
        }
        owners.set(id, name);
        result.set(name, id);
      }
      if (made) {
        const data = { units: [...kept].map(([name, id]) => ({ name, id })) };
        await this.#replace(this.pathOf(IDENTITIES), encode(data));
      }
      return result;
    });
  }

  /** The identity kept under one name is kept under another too: for a unit that gets another name. */
  copyIdentity(from: string, to: string): Promise<void> {
    return this.#changeIdentities((units) => {
      const { id } = units.find(({ name }) => name === from) ?? {};
      return id === undefined ? units : [...units.filter(({ name }) => name !== to), { name: to, id }];
    });
  }

  /** No identity is kept under the name any more: it is free for another unit. */
  dropIdentity(name: string): Promise<void> {
    return this.#changeIdentities((units) => units.filter((unit) => unit.name !== name));
  }

  /** The identity kept under the name of a unit that has none configured; made where there is none. */
  async unitIdentity(name: string): Promise<string> {
    const id = (await this.unitIdentities([{ name, id: null }])).get(name);
    assert(id !== undefined);
    return id;
  }

  #changeIdentities(change: (units: readonly NamedIdentity[]) => readonly NamedIdentity[]): Promise<void> {
    return this.#enqueue(async () => {
      const { units } = (await this.read(IDENTITIES, identities)) ?? { units: [] };
      await this.#replace(this.pathOf(IDENTITIES), encode({ units: change(units) }));
    });
  }

  /** Where the document is, or would be. */
  pathOf(name: string): string {
    assert(DOCUMENT_NAME.test(name), `${name} is no name for a state document`);
    return join(this.path, `${name}.json`);
  }

  #enqueue<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#queue.then(task);
    // The caller learns of a failure; the next in the queue has nothing to do with it.
    this.#queue = run.catch(() => undefined);
    return run;
  }

  async #prepare(): Promise<void> {
    const parent = dirname(this.path);
    let existed = false;
    try {
      await this.#files.mkdir(this.path, FOLDER_MODE).catch((error) => {
        if (codeOf(error) !== "EEXIST") throw error;
        existed = true;
      });
      // Also where it existed: the process that made it may have died before it got here.
      await this.#syncFolder(parent).catch((error) => {
        if (!existed || codeOf(error) !== "EACCES") throw error;
      });
      for (const name of await this.#files.readdir(this.path)) {
        if (LEFTOVER.test(name)) await this.#files.unlink(join(this.path, name));
      }
    } catch (error) {
      throw new StateError(
        `the state directory ${this.path} cannot be used: ${systemReason(error)}; set stateDir to a folder that can`,
        { cause: error },
      );
    }
  }

  async #replace(path: string, bytes: Uint8Array): Promise<void> {
    const temporary = join(this.path, `.${basename(path, ".json")}.${randomBytes(8).toString("hex")}.tmp`);
    try {
      const file = await this.#files.open(temporary, "wx", FILE_MODE);
      try {
        for (let offset = 0; offset < bytes.length; ) {
          offset += (await file.write(bytes, offset, bytes.length - offset)).bytesWritten;
        }
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#files.rename(temporary, path);
      await this.#syncFolder(this.path);
    } catch (error) {
      // Gone already if the rename was done; a leftover is removed at the next start.
      await this.#files.unlink(temporary).catch(() => undefined);
      throw new StateError(`${path} cannot be written: ${systemReason(error)}`, { cause: error });
    }
  }

  async #syncFolder(path: string): Promise<void> {
    const folder = await this.#files.open(path, "r");
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}

function encode(data: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify({ version: FORMAT_VERSION, sha256: checksum(data), data }, null, 2)}\n`);
}

/** Of the JSON text without white space, which reading and writing again does not change. */
function checksum(data: unknown): string {
  const text = JSON.stringify(data);
  assert(text !== undefined, "a state document is JSON");
  return createHash("sha256").update(text).digest("hex");
}

function damaged(path: string, how: string, cause: unknown): DamagedStateError {
  return new DamagedStateError(
    `${path} is damaged: ${how}. Nothing was changed. ` +
      "Restore it from a backup, or move it away to start without what it held",
    { cause },
  );
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

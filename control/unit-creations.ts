/**
 * Units whose files get all of their blocks first, which may take a while. The file grows under another name beside its place:
 * whatever happens, there is all of it or nothing.
 */
import { randomBytes } from "node:crypto";
import { linkSync, lstatSync, readdirSync, unlinkSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import type { Administration, ChangeResult } from "./administration.js";
import { addUnit } from "./config/edits/units.js";
import { systemReason } from "./config/named-files.js";
import { size } from "./config/values.js";
import { HeldFolder } from "./files/file-roots.js";
import { CREATION_CANCEL_TIMEOUT_MS, CREATIONS_KEPT_MAX, CREATIONS_MAX } from "./limits.js";
import type { Logger } from "./logger.js";
import type { Server } from "./server.js";
import { settlesWithin } from "./shard-thread.js";
import type { UnitRequest } from "./unit-administration.js";
import { Allocation } from "./units/allocation/allocation.js";

export interface Creation {
  readonly id: number;
  readonly unit: string;
  readonly state: "running" | "done" | "failed" | "cancelled";
  readonly doneBytes: number;
  readonly totalBytes: number;
  /** Why it has failed. */
  readonly message: string | null;
}

export type BeginResult = { readonly ok: true; readonly creation: Creation } | (ChangeResult & { readonly ok: false });

interface Current {
  readonly id: number;
  readonly unit: string;
  readonly path: string;
  /** That of the path: it is held, whatever becomes of the path. */
  readonly folder: HeldFolder;
  readonly totalBytes: number;
  readonly allocation: Allocation;
  state: Creation["state"];
  message: string | null;
  /** Never rejects. */
  ended: Promise<void>;
}

export class UnitCreations {
  readonly #server: Server;
  readonly #administration: Administration;
  readonly #logger: Logger;
  /** By id, the oldest first. */
  readonly #creations = new Map<number, Current>();
  #nextId = 1;

  constructor(server: Server, administration: Administration, logger: Logger) {
    this.#server = server;
    this.#administration = administration;
    this.#logger = logger;
  }

  list(): Creation[] {
    return [...this.#creations.values()].map(documentOf);
  }

  find(id: number): Creation | undefined {
    const found = this.#creations.get(id);
    return found && documentOf(found);
  }

  /** What would be refused in the end is refused at once. */
  async begin(request: UnitRequest): Promise<BeginResult> {
    const { name, keys, mappings } = request;
    const wanted = size.safeParse(keys.size);
    if (typeof keys.file !== "string" || !wanted.success)
      return refusal("invalid", "preallocating takes a file and a size");
    const judged = await this.#administration.edit((yaml) => addUnit(yaml, name, keys, mappings), { dryRun: true });
    if (!judged.ok) return judged;
    const path = resolve(dirname(this.#server.configuration.file), keys.file);
    const running = [...this.#creations.values()].filter(({ state }) => state === "running");
    if (running.some((other) => other.path === path)) return refusal("conflict", `${path} is being made already`);
    if (running.length >= CREATIONS_MAX)
      return refusal("conflict", `${CREATIONS_MAX} files are being made: wait for one`);
    let folder: HeldFolder;
    try {
      folder = HeldFolder.of(path, this.#server.configuration.api.fileRoots);
    } catch (error) {
      return refusal("conflict", systemReason(error));
    }
    if (lstatSync(folder.at(basename(path)), { throwIfNoEntry: false }) !== undefined) {
      folder.close();
      return refusal("conflict", `${path} is there already: leave preallocation out to serve it`);
    }
    this.#removeLeftovers(folder);
    const part = `.${basename(path)}.${randomBytes(8).toString("hex")}.part`;
    const allocation = new Allocation(folder.at(part), wanted.data);
    const creation: Current = {
      ...{ id: this.#nextId++, unit: name, path, folder, totalBytes: wanted.data, allocation },
      ...{ state: "running", message: null, ended: Promise.resolve() },
    };
    this.#keep(creation);
    creation.ended = this.#complete(creation, request)
      .catch((error) => this.#fail(creation, systemReason(error)))
      .finally(() => folder.close());
    return { ok: true, creation: documentOf(creation) };
  }

  /** It has ended when this resolves, unless its file system does not answer. @returns undefined: there is none of that number. */
  async cancel(id: number): Promise<Creation | undefined> {
    const creation = this.#creations.get(id);
    if (creation === undefined) return undefined;
    creation.allocation.stop();
    await settlesWithin(creation.ended, CREATION_CANCEL_TIMEOUT_MS);
    return documentOf(creation);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#creations.keys()].map((id) => this.cancel(id)));
  }

  async #complete(creation: Current, { name, keys, mappings }: UnitRequest): Promise<void> {
    const { allocation, folder } = creation;
    const path = folder.at(basename(creation.path));
    const end = await allocation.ended;
    if (end.kind === "stopped") {
      creation.state = "cancelled";
      return;
    }
    if (end.kind === "failed") throw new Error(end.reason);
    try {
      // Never over a file that has come meanwhile.
      linkSync(allocation.path, path);
    } finally {
      unlinkSync(allocation.path);
    }
    folder.sync();
    const result = await this.#administration.edit((yaml) => addUnit(yaml, name, keys, mappings));
    if (result.ok) {
      creation.state = "done";
      return;
    }
    // One that has not ended in time goes on, and has the file.
    if (result.reason !== "timeout") unlinkSync(path);
    throw new Error(result.message);
  }

  #fail(creation: Current, reason: string): void {
    creation.state = "failed";
    creation.message = reason;
    this.#logger.error({ unit: creation.unit, path: creation.path, reason }, "unit not created");
  }

  #keep(creation: Current): void {
    this.#creations.set(creation.id, creation);
    for (const [id, { state }] of this.#creations) {
      if (this.#creations.size <= CREATIONS_KEPT_MAX) break;
      if (state !== "running") this.#creations.delete(id);
    }
  }

  /** Of a process that was killed meanwhile. */
  #removeLeftovers(folder: HeldFolder): void {
    const inUse = new Set([...this.#creations.values()].map(({ allocation }) => basename(allocation.path)));
    for (const name of readdirSync(folder.at("."))) {
      if (!PART.test(name) || inUse.has(name)) continue;
      const found = lstatSync(folder.at(name), { throwIfNoEntry: false });
      if (found?.isFile() && found.uid === process.geteuid?.()) unlinkSync(folder.at(name));
    }
  }
}

/** As a file is called while it is being made. */
const PART = /^\..+\.[0-9a-f]{16}\.part$/;

function documentOf({ id, unit, state, totalBytes, message, allocation: { doneBytes } }: Current): Creation {
  return { id, unit, state, doneBytes, totalBytes, message };
}

function refusal(reason: "invalid" | "conflict", message: string): BeginResult {
  return { ok: false, reason, message, faults: [] };
}

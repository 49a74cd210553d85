/**
 * Units whose files get all of their blocks first, which may take a while. The file grows under another name beside its place:
 * whatever happens, there is all of it or nothing.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { link, readdir, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Administration, ChangeResult } from "./administration.js";
import { addUnit } from "./config/edits/units.js";
import { systemReason } from "./config/named-files.js";
import { size } from "./config/values.js";
import { CREATIONS_KEPT_MAX, CREATIONS_MAX } from "./limits.js";
import type { Logger } from "./logger.js";
import type { Server } from "./server.js";
import { syncFolder } from "./sync-folder.js";
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
    if (existsSync(path)) return refusal("conflict", `${path} is there already: leave preallocation out to serve it`);
    const running = [...this.#creations.values()].filter(({ state }) => state === "running");
    if (running.some((other) => other.path === path)) return refusal("conflict", `${path} is being made already`);
    if (running.length >= CREATIONS_MAX)
      return refusal("conflict", `${CREATIONS_MAX} files are being made: wait for one`);
    await this.#removeLeftovers(path);
    const allocation = new Allocation(
      join(dirname(path), `.${basename(path)}.${randomBytes(8).toString("hex")}.part`),
      wanted.data,
    );
    const creation: Current = {
      ...{ id: this.#nextId++, unit: name, path, totalBytes: wanted.data, allocation },
      ...{ state: "running", message: null, ended: Promise.resolve() },
    };
    this.#keep(creation);
    creation.ended = this.#complete(creation, request).catch((error) => this.#fail(creation, systemReason(error)));
    return { ok: true, creation: documentOf(creation) };
  }

  /** It has ended when this resolves. @returns undefined: there is none of that number. */
  async cancel(id: number): Promise<Creation | undefined> {
    const creation = this.#creations.get(id);
    if (creation === undefined) return undefined;
    creation.allocation.stop();
    await creation.ended;
    return documentOf(creation);
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#creations.keys()].map((id) => this.cancel(id)));
  }

  async #complete(creation: Current, { name, keys, mappings }: UnitRequest): Promise<void> {
    const { allocation, path } = creation;
    const end = await allocation.ended;
    if (end.kind === "stopped") {
      creation.state = "cancelled";
      return;
    }
    if (end.kind === "failed") throw new Error(end.reason);
    try {
      // Never over a file that has come meanwhile.
      await link(allocation.path, path);
    } finally {
      await unlink(allocation.path);
    }
    syncFolder(dirname(path));
    const result = await this.#administration.edit((yaml) => addUnit(yaml, name, keys, mappings));
    if (result.ok) {
      creation.state = "done";
      return;
    }
    // One that has not ended in time goes on, and has the file.
    if (result.reason !== "timeout") await unlink(path);
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
  async #removeLeftovers(path: string): Promise<void> {
    const [start, folder] = [`.${basename(path)}.`, dirname(path)];
    for (const name of await readdir(folder)) {
      if (name.startsWith(start) && /^[0-9a-f]{16}\.part$/.test(name.slice(start.length)))
        await unlink(join(folder, name));
    }
  }
}

function documentOf({ id, unit, state, totalBytes, message, allocation: { doneBytes } }: Current): Creation {
  return { id, unit, state, doneBytes, totalBytes, message };
}

function refusal(reason: "invalid" | "conflict", message: string): BeginResult {
  return { ok: false, reason, message, faults: [] };
}

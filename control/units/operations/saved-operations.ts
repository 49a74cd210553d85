/**
 * What stateDir holds of a unit's operation. It is there before the first block is touched, and goes only when all are done: a
 * process that starts finds either nothing, and a unit as it should be, or what is still to be done.
 */
import * as z from "zod";
import type { StateDirectory } from "../../config/state-directory.js";
import { work } from "./work.js";

const operation = z.strictObject({
  kind: z.enum(["sanitize", "format"]),
  work,
  /** AUSE of SANITIZE: if it fails, EXIT FAILURE MODE gives the unit back. */
  allowsExit: z.boolean(),
  /** All before it is done and durable. */
  position: z.strictObject({ pass: z.int().min(0), offset: z.int().min(0) }),
  hasFailed: z.boolean(),
});

export type SavedOperation = z.infer<typeof operation>;

const document = z.strictObject({ operation: operation.nullable() });

/** The unit's identity names its document, so that the operation stays with the disk, however it is configured. */
function documentName(uuid: string): string {
  return `operation-${uuid}`;
}

export class SavedOperations {
  readonly #stateDirectory: StateDirectory;

  constructor(stateDirectory: StateDirectory) {
    this.#stateDirectory = stateDirectory;
  }

  /** Null: none. Rejects with a StateError where what is kept cannot be trusted. */
  async load(uuid: string): Promise<SavedOperation | null> {
    return (await this.#stateDirectory.read(documentName(uuid), document))?.operation ?? null;
  }

  /** Resolves when it is durable. */
  save(uuid: string, saved: SavedOperation | null): Promise<void> {
    return this.#stateDirectory.write(documentName(uuid), { operation: saved });
  }
}

/**
 * WRITE ATOMIC (16) of units whose store may tear a write when the machine fails, or this process does. What is to be written is
 * kept in stateDir first, then written to its place, then dropped; a process that starts does what it finds kept. All the while
 * nobody else writes to the unit, however long it takes to drop it: what is kept is never older than what is in its place, and to do
 * it once more changes nothing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { addressOf, errno, FALLOC_FL_KEEP_SIZE, fallocate, pwrite, RWF_DSYNC } from "io-uring-node";
import * as z from "zod";
import type { ScsiAnswer, UnitRecord } from "../../dataplane/messages.js";
import { OPCODE_WRITE_ATOMIC_16 } from "../../dataplane/scsi/table.js";
import { getUint64 } from "../../dataplane/scsi/uint64.js";
import type { StateDirectory } from "../config/state-directory.js";
import { ATOMIC_WRITE_DROP_RETRY_MS } from "../limits.js";
import type { Logger } from "../logger.js";
import type { Shards } from "../shards.js";
import { GOOD, storeFaultAnswer } from "./answers.js";
import type { SlowCommand, SlowCommands } from "./slow-commands.js";

const LBA_BYTE = 2;

const kept = z.strictObject({
  /** Null, as earlier versions wrote it: all that was kept is in its place. */
  write: z.strictObject({ offset: z.int().min(0), data: z.base64() }).nullable(),
});
type Kept = NonNullable<z.infer<typeof kept>["write"]>;

/** The unit's identity names its document, so that it stays with the disk, however that is configured. */
function documentName(uuid: string): string {
  return `atomic-write-${uuid}`;
}

export class AtomicWrites {
  readonly #stateDirectory: StateDirectory;
  readonly #logger: Logger;

  constructor(stateDirectory: StateDirectory, logger: Logger) {
    this.#stateDirectory = stateDirectory;
    this.#logger = logger;
  }

  /**
   * Finishes what a process before us has begun, before anybody reads the unit. Rejects with a StateError where what is kept cannot
   * be trusted, with another where it cannot be written.
   */
  async finish(unit: UnitRecord): Promise<void> {
    const { write } = (await this.#stateDirectory.read(documentName(unit.uuid), kept)) ?? { write: null };
    if (write === null) return;
    const bytes = Uint8Array.from(Buffer.from(write.data, "base64"));
    const fields = { unit: unit.name, offset: write.offset, bytes: bytes.length };
    if (unit.readOnly) {
      this.#logger.warn(
        fields,
        "an atomic write was cut short, and the unit is read-only now: it is finished when it is not",
      );
      return;
    }
    const fault = await writeDurably(unit, write.offset, bytes);
    if (fault !== undefined) {
      throw new Error(
        `unit ${unit.name}: an atomic write that was cut short cannot be finished (errno ${-fault.errno})`,
      );
    }
    await this.#stateDirectory.remove(documentName(unit.uuid));
    this.#logger.info(fields, "an atomic write that was cut short is finished");
  }

  serve(commands: SlowCommands, shards: Pick<Shards, "alone">): void {
    commands.register(OPCODE_WRITE_ATOMIC_16, (command) =>
      shards.alone(command.unit.unitIndex, () => this.#write(command)),
    );
  }

  async #write({ unit, cdb, parameters }: SlowCommand): Promise<ScsiAnswer> {
    if (unit.kind === "null") return GOOD;
    const offset = getUint64(new DataView(cdb.buffer), LBA_BYTE) * unit.blockLengthBytes;
    // What there is no room for is refused before anything of it is written.
    const allocated = await fallocate(unit.bufferedFd, FALLOC_FL_KEEP_SIZE, offset, parameters.length);
    if (allocated === -errno.ENOSPC || allocated === -errno.EDQUOT)
      return faultAnswer(unit, { errno: allocated, offset });
    try {
      await this.#keep(unit, { offset, data: Buffer.from(parameters).toString("base64") });
      const fault = await writeDurably(unit, offset, parameters);
      return fault === undefined ? GOOD : faultAnswer(unit, fault);
    } finally {
      await this.#drop(unit);
    }
  }

  /** A start would write what is kept over what is newer: until it is gone for good, nothing newer is written. */
  async #drop({ name, uuid }: UnitRecord): Promise<void> {
    const document = documentName(uuid);
    const fields = { unit: name, file: this.#stateDirectory.pathOf(document) };
    for (let isFirst = true; ; isFirst = false) {
      try {
        await this.#stateDirectory.remove(document);
        if (!isFirst) this.#logger.info(fields, "this file is removed: writes to the unit go on");
        return;
      } catch (error) {
        const { message } = error as Error;
        if (isFirst)
          this.#logger.error({ ...fields, reason: message }, "this file has to go before the unit is written again");
        await sleep(ATOMIC_WRITE_DROP_RETRY_MS);
      }
    }
  }

  #keep({ uuid }: UnitRecord, write: Kept): Promise<void> {
    return this.#stateDirectory.write(documentName(uuid), { write });
  }
}

/** A store has failed; `offset`: of the first byte that is not through. */
interface Fault {
  readonly errno: number;
  readonly offset: number;
}

/** Through the page cache, also where the unit's writes are direct: there are none meanwhile. */
async function writeDurably(unit: UnitRecord, offset: number, bytes: Uint8Array): Promise<Fault | undefined> {
  const address = addressOf(bytes);
  for (let done = 0; done < bytes.length; ) {
    const result = await pwrite(unit.bufferedFd, address + done, bytes.length - done, offset + done, RWF_DSYNC);
    if (result <= 0) return { errno: result === 0 ? -errno.EIO : result, offset: offset + done };
    done += result;
  }
  return undefined;
}

function faultAnswer({ blockLengthBytes }: UnitRecord, { errno, offset }: Fault): ScsiAnswer {
  return storeFaultAnswer(errno, true, Math.floor(offset / blockLengthBytes));
}

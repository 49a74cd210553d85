/** The file that a configuration came from, and comes to when it is changed from outside of an editor. */
import { randomBytes } from "node:crypto";
import { readFileSync, renameSync, statSync } from "node:fs";
import { type FileHandle, lstat, open, readdir, realpath, stat, unlink } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { checkConfiguration, digestOf, type LoadResult, loadConfiguration, mappingOf } from "./load.js";
import { systemReason } from "./named-files.js";
import { YamlReader } from "./yaml-reader.js";
import { YamlText } from "./yaml-text.js";

/** A new file that is durable and not in its place yet. */
export interface PreparedFile {
  /**
   * Takes the old one's place at once. Resolves to null when that is for good, otherwise to why it may not be.
   *
   * @throws Error that says what to do: then the old one is there.
   */
  commit(): Promise<string | null>;
  /** Instead of `commit`, or after one that has failed. */
  discard(): Promise<void>;
}

const GROUP = 0o070;
const OTHERS = 0o007;

export class ConfigurationFile {
  readonly path: string;
  /** Of the text that is in force. */
  #digest: string;
  readonly #reader: YamlReader;

  /** @param reader that knows the text, or one that is like it. */
  constructor(path: string, digest: string, reader: YamlReader = new YamlReader()) {
    this.path = path;
    this.#digest = digest;
    this.#reader = reader;
  }

  get digest(): string {
    return this.#digest;
  }

  /** What is in the file now. `accept` its digest when it is in force. */
  load(): LoadResult {
    return loadConfiguration(this.path, this.#reader);
  }

  accept(digest: string): void {
    this.#digest = digest;
  }

  /** Whether the file is still what is in force. False too where it cannot be read. */
  isAsLoaded(): boolean {
    return this.#textAsLoaded() !== undefined;
  }

  /**
   * The text that is in force, to be changed; undefined where the file has another one, or cannot be read.
   *
   * @throws YamlTextError
   */
  yamlAsLoaded(): YamlText | undefined {
    const text = this.#textAsLoaded();
    return text === undefined ? undefined : new YamlText(text, this.#reader);
  }

  #textAsLoaded(): string | undefined {
    try {
      const bytes = readFileSync(this.path);
      return digestOf(bytes) === this.#digest ? bytes.toString() : undefined;
    } catch {
      return undefined;
    }
  }

  /** Judges a text as what the file would be. */
  check(bytes: Uint8Array): LoadResult {
    return checkConfiguration(bytes, { file: this.path, mode: this.#mode() }, this.#reader);
  }

  /** Files of the units that a text names, or that the file does: as far as it is sound. */
  filesNamed(bytes: Uint8Array | null = this.#bytes()): string[] {
    const document = mappingOf(bytes && this.#reader.read(Buffer.from(bytes).toString()).tree?.value);
    return Object.values(mappingOf(document.units)).flatMap((unit) => {
      const { file } = mappingOf(unit);
      return typeof file === "string" && !file.includes("\0") ? [resolve(dirname(this.path), file)] : [];
    });
  }

  #bytes(): Uint8Array | null {
    try {
      return readFileSync(this.path);
    } catch {
      return null;
    }
  }

  /**
   * Writes the text beside the file, with its owner and permissions, durably. Where the path is a link, the file that it leads to is
   * meant.
   *
   * @throws Error that says what is in the way, and what to do.
   */
  async prepare(bytes: Uint8Array): Promise<PreparedFile> {
    let temporary: string | undefined;
    const handles: FileHandle[] = [];
    const discard = async () => {
      for (const handle of handles.splice(0)) await handle.close();
      if (temporary !== undefined) await unlink(temporary).catch(() => {});
    };
    try {
      const path = await realpath(this.path);
      await this.removeLeftovers();
      const folder = await open(dirname(path), "r");
      handles.push(folder);
      const name = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString("hex")}.tmp`);
      const file = await open(name, "wx", 0o600);
      temporary = name;
      handles.push(file);
      await file.writeFile(bytes);
      await giveTo(file, await stat(path));
      await file.sync();
      return {
        commit: async () => {
          try {
            renameSync(name, path);
          } catch (error) {
            throw this.#unwritable(error);
          }
          temporary = undefined;
          this.#digest = digestOf(bytes);
          const reason = await folder.sync().then(() => null, systemReason);
          await discard();
          return reason;
        },
        discard,
      };
    } catch (error) {
      await discard();
      throw this.#unwritable(error);
    }
  }

  #unwritable(error: unknown): Error {
    const { code = "" } = error as NodeJS.ErrnoException;
    const remedy = Object.hasOwn(REMEDIES, code) ? `; ${REMEDIES[code]}` : "";
    return new Error(`${this.path} cannot be written, and nothing has changed: ${systemReason(error)}${remedy}`, {
      cause: error,
    });
  }

  /** Texts beside the file that a process which was killed has not put in its place. */
  async removeLeftovers(): Promise<void> {
    try {
      const path = await realpath(this.path);
      const [folder, start] = [dirname(path), `.${basename(path)}.`];
      const owners = [process.geteuid?.(), (await stat(path)).uid];
      for (const name of await readdir(folder)) {
        if (!name.startsWith(start) || !LEFTOVER_END.test(name.slice(start.length))) continue;
        const found = await lstat(join(folder, name));
        if (found.isFile() && owners.includes(found.uid)) await unlink(join(folder, name));
      }
    } catch {
      // They are in nobody's way.
    }
  }

  #mode(): number {
    return statSync(this.path).mode & 0o777;
  }
}

const LEFTOVER_END = /^[0-9a-f]{16}\.tmp$/;

/** By what the system says. */
const REMEDIES: Readonly<Record<string, string>> = {
  EACCES: "the program has to be allowed to make files in its folder",
  EPERM: "the program has to be allowed to make files in its folder, and to replace this one (lsattr, mount options)",
  EROFS: "its file system is read-only: change it where it is kept, and reload it",
  EBUSY: "it is mounted by itself: mount its folder instead, or change it by hand, and reload it",
  ENOSPC: "make room on its file system",
  EDQUOT: "make room on its file system",
};

/** Makes it what the other file is, as far as that is allowed. Where the group is another one, it may no more than everybody. */
async function giveTo(file: FileHandle, { uid, gid, mode }: { uid: number; gid: number; mode: number }): Promise<void> {
  const had = await file.stat();
  if (had.uid !== uid || had.gid !== gid) {
    await file
      .chown(uid, gid)
      .catch(() => file.chown(-1, gid))
      .catch(() => {});
  }
  const isSameGroup = (await file.stat()).gid === gid;
  const group = isSameGroup ? mode & GROUP : mode & ((mode & OTHERS) << 3);
  await file.chmod((mode & (0o777 & ~GROUP)) | group);
}

/** The file that a configuration came from, and comes to when it is changed from outside of an editor. */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { syncFolder } from "../sync-folder.js";
import { checkConfiguration, digestOf, type LoadResult, loadConfiguration } from "./load.js";
import { YamlReader } from "./yaml-reader.js";
import { YamlText } from "./yaml-text.js";

/** A new file that is durable and not in its place yet. */
export interface PreparedFile {
  /** Takes the old one's place, for good when this returns. @throws what the system says */
  commit(): void;
  /** Instead of `commit`, or after one that has failed. */
  discard(): void;
}

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

  /**
   * Writes the text beside the file, with its permissions, durably.
   *
   * @throws what the system says: there is no room, or no permission.
   */
  prepare(bytes: Uint8Array): PreparedFile {
    const folder = dirname(this.path);
    const temporary = join(folder, `.${basename(this.path)}.${randomBytes(8).toString("hex")}.tmp`);
    const mode = this.#mode();
    const fd = openSync(temporary, "wx", mode);
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
      // What the umask has taken away.
      fchmodSync(fd, mode);
      fsyncSync(fd);
    } catch (error) {
      unlinkSync(temporary);
      throw error;
    } finally {
      closeSync(fd);
    }
    return {
      commit: () => {
        renameSync(temporary, this.path);
        syncFolder(folder);
        this.#digest = digestOf(bytes);
      },
      discard: () => rmSync(temporary, { force: true }),
    };
  }

  #mode(): number {
    return statSync(this.path).mode & 0o777;
  }
}

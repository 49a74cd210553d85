/** What is done to files that may keep whoever does it waiting: a network's file system, a device that does not answer. */
import { closeSync, constants, fdatasyncSync, ftruncateSync, openSync, statSync } from "node:fs";
import type { FileUnitConfiguration } from "../config/schema.js";
import { growFile, type OpenedFile, openFile, UnitError, UnitInUseError } from "../units/file-unit.js";
import { descriptorPath, removeFile } from "./file-roots.js";

/** Why a unit is not open. */
export interface OpenRefusal {
  readonly refusal: string;
  readonly isInUse: boolean;
}

export const JOBS = {
  /** Asks for each of the paths what it is: who asks again a moment later is answered. */
  look(paths: readonly string[]): void {
    for (const path of paths) {
      try {
        statSync(path, { throwIfNoEntry: false });
      } catch {
        // Whoever asks is told.
      }
    }
  },
  open(unit: FileUnitConfiguration, shards: number, roots: readonly string[] | null): OpenedFile | OpenRefusal {
    try {
      return openFile(unit, shards, roots);
    } catch (error) {
      if (!(error instanceof UnitError)) throw error;
      return { refusal: error.reason, isInUse: error instanceof UnitInUseError };
    }
  },
  /** Of what `open` has returned: nobody waits for it any more. */
  takeBack(opened: OpenedFile | OpenRefusal, { path }: FileUnitConfiguration, roots: readonly string[] | null): void {
    if ("refusal" in opened) return;
    for (const fd of opened.descriptors) closeSync(fd);
    if (opened.isNew) removeFile(path, opened.identity, roots);
  },
  /** @returns how long the file was. */
  grow(unit: FileUnitConfiguration, fd: number): number {
    return growFile(unit, fd);
  },
  shorten(fd: number, sizeBytes: number): void {
    ftruncateSync(fd, sizeBytes);
  },
  /** Of what is lost the kernel tells each open file once: this one is its own, so that who is to hear of it still does. */
  flush(fd: number): void {
    const own = openSync(descriptorPath(fd), constants.O_RDONLY);
    try {
      fdatasyncSync(own);
    } finally {
      closeSync(own);
    }
  },
  remove: removeFile,
} as const;

export type Jobs = typeof JOBS;
export type JobName = keyof Jobs;

/** Who does them, and where. */
export interface Files {
  run<Name extends JobName>(name: Name, ...args: Parameters<Jobs[Name]>): Promise<ReturnType<Jobs[Name]>>;
}

/** Here, while that holds up nobody else: at the start, and at the end. */
export const FILES_HERE: Files = {
  async run(name, ...args) {
    return (JOBS[name] as (...them: typeof args) => ReturnType<Jobs[typeof name]>)(...args);
  },
};

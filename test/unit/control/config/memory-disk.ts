import type { StateFile, StateFiles } from "../../../../control/config/state-directory.js";

interface FileNode {
  readonly kind: "file";
  data: Uint8Array;
  /** What is on the platters for sure; null: nothing, not even how long the file is. */
  synced: Uint8Array | null;
}

interface FolderNode {
  readonly kind: "folder";
  entries: Map<string, Node>;
  synced: Map<string, Node>;
  /** Changes since the last sync, in order. */
  pending: ((entries: Map<string, Node>) => void)[];
}

type Node = FileNode | FolderNode;

/** Picks one of `count` possibilities. */
export type Choose = (count: number) => number;

/**
 * Files in memory that remember what a loss of power would leave: what was synced for sure; of each file that was not,
 * the old content, the new, half of it, or none; of each change of a folder that was not, any.
 */
export class MemoryDisk implements StateFiles {
  readonly #root: FolderNode;

  constructor(root: FolderNode = emptyFolder()) {
    this.#root = root;
  }

  /** One of the disks that a loss of power at this moment may leave. */
  losePower(choose: Choose): MemoryDisk {
    const survivors = new Map<Node, Node>();
    const survive = (node: Node): Node => {
      const known = survivors.get(node);
      if (known !== undefined) return known;
      if (node.kind === "file") {
        const data = survivingData(node, choose);
        const survivor: FileNode = { kind: "file", data, synced: data };
        survivors.set(node, survivor);
        return survivor;
      }
      const entries = new Map(node.synced);
      for (const change of node.pending) if (choose(2) === 1) change(entries);
      for (const [name, entry] of entries) entries.set(name, survive(entry));
      return { kind: "folder", entries, synced: new Map(entries), pending: [] };
    };
    return new MemoryDisk(survive(this.#root) as FolderNode);
  }

  async mkdir(path: string): Promise<void> {
    const [parent, name] = this.#locate(path);
    if (parent.entries.has(name)) throw failure("EEXIST", "file already exists");
    const folder = emptyFolder();
    change(parent, (entries) => entries.set(name, folder));
  }

  async readdir(path: string): Promise<string[]> {
    const node = this.#find(path);
    if (node.kind === "file") throw failure("ENOTDIR", "not a directory");
    return [...node.entries.keys()];
  }

  async readFile(path: string): Promise<Uint8Array> {
    const node = this.#find(path);
    if (node.kind === "folder") throw failure("EISDIR", "illegal operation on a directory");
    return node.data;
  }

  async open(path: string, flags: "r" | "wx"): Promise<StateFile> {
    let node: Node;
    if (flags === "r") node = this.#find(path);
    else {
      const [parent, name] = this.#locate(path);
      if (parent.entries.has(name)) throw failure("EEXIST", "file already exists");
      node = { kind: "file", data: new Uint8Array(), synced: null };
      const file = node;
      change(parent, (entries) => entries.set(name, file));
    }
    return {
      async write(bytes, offset, length) {
        if (node.kind === "folder") throw failure("EBADF", "bad file descriptor");
        // Never more than 100 bytes: the caller has to go on where a write came back short.
        const bytesWritten = Math.min(length, 100);
        node.data = Buffer.concat([node.data, bytes.subarray(offset, offset + bytesWritten)]);
        return { bytesWritten };
      },
      async sync() {
        if (node.kind === "file") node.synced = node.data;
        else {
          node.synced = new Map(node.entries);
          node.pending = [];
        }
      },
      async close() {},
    };
  }

  async rename(from: string, to: string): Promise<void> {
    const [parent, oldName] = this.#locate(from);
    const [, newName] = this.#locate(to);
    const node = this.#find(from);
    change(parent, (entries) => {
      entries.delete(oldName);
      entries.set(newName, node);
    });
  }

  async unlink(path: string): Promise<void> {
    const [parent, name] = this.#locate(path);
    this.#find(path);
    change(parent, (entries) => entries.delete(name));
  }

  #locate(path: string): [FolderNode, string] {
    const steps = path.split("/").filter((step) => step !== "");
    const name = steps.pop() ?? "";
    const parent = this.#find(steps.join("/"));
    if (parent.kind === "file") throw failure("ENOTDIR", "not a directory");
    return [parent, name];
  }

  #find(path: string): Node {
    let node: Node = this.#root;
    for (const step of path.split("/").filter((part) => part !== "")) {
      const next: Node | undefined = node.kind === "folder" ? node.entries.get(step) : undefined;
      if (next === undefined) throw failure("ENOENT", "no such file or directory");
      node = next;
    }
    return node;
  }
}

/** Runs `body` with every sequence of choices that it asks for. */
export async function forEveryChoice(body: (choose: Choose) => Promise<void>): Promise<void> {
  const taken: { pick: number; count: number }[] = [];
  for (;;) {
    let depth = 0;
    await body((count) => {
      if (depth === taken.length) taken.push({ pick: 0, count });
      return taken[depth++]?.pick ?? 0;
    });
    while (taken.length > 0 && (taken.at(-1)?.pick ?? 0) + 1 === taken.at(-1)?.count) taken.pop();
    const last = taken.at(-1);
    if (last === undefined) return;
    last.pick++;
  }
}

export function failure(code: string, text: string): Error {
  return Object.assign(new Error(`${code}: ${text}, test`), { code });
}

function survivingData({ data, synced }: FileNode, choose: Choose): Uint8Array {
  if (synced === data) return data;
  return [data, data.subarray(0, data.length / 2), synced ?? new Uint8Array()][choose(3)] ?? data;
}

function emptyFolder(): FolderNode {
  return { kind: "folder", entries: new Map(), synced: new Map(), pending: [] };
}

function change(folder: FolderNode, apply: (entries: Map<string, Node>) => void): void {
  apply(folder.entries);
  folder.pending.push(apply);
}

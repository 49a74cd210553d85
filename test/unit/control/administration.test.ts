import assert from "node:assert/strict";
import { test } from "node:test";
import { Administration } from "../../../control/administration.js";
import type { ConfigurationFile } from "../../../control/config/configuration-file.js";
import { ADMINISTRATION_TIMEOUT_MS } from "../../../control/limits.js";
import { ReconfigurationError } from "../../../control/reconfiguration.js";
import type { Server } from "../../../control/server.js";
import { configuration, silent } from "./support/fixtures.js";

test("a change that does not end is answered in its time, with how far it came; one that has not begun is never done", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const current = configuration("/nowhere");
  let end = (): void => {};
  let reloads = 0;
  const server = {
    configuration: current,
    units: [],
    reconfigurationStep: "opening 3 units",
    reload: () => {
      reloads++;
      return new Promise((resolve) => {
        end = () => resolve({ differences: [], unfinished: [] });
      });
    },
    files: { run: async () => {} },
  } as unknown as Server;
  const file = {
    filesNamed: () => [],
    load: () => ({ ok: true, configuration: current, warnings: [], digest: "digest" }),
    accept: () => {},
  } as unknown as ConfigurationFile;
  const administration = new Administration(server, file, silent);

  const results = [administration.reload(), administration.reload()] as const;
  // The first has to have begun.
  await new Promise((resolve) => setImmediate(resolve));
  context.mock.timers.tick(ADMINISTRATION_TIMEOUT_MS);
  const [first, second] = await Promise.all(results);
  assert.ok(!first.ok && !second.ok);
  assert.deepEqual([first.reason, second.reason], ["timeout", "timeout"]);
  assert.match(first.message, /not done within 60 s: it is opening 3 units; it goes on/);
  assert.match(second.message, /was not begun, and nothing has changed/);

  end();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(reloads, 1);
  const third = administration.reload();
  await new Promise((resolve) => setImmediate(resolve));
  end();
  assert.equal((await third).ok, true);
  assert.equal(reloads, 2);
});

/** A file whose text is in force, and what becomes of another one that is to take its place. */
class File {
  text = "old";
  hasLeftover = false;
  readonly path = "/nowhere/ringlun.yaml";
  readonly digest = "old";

  check() {
    return { ok: true, configuration: configuration("/nowhere"), warnings: [], digest: "new" };
  }

  isAsLoaded(): boolean {
    return this.text === "old";
  }

  filesNamed(): string[] {
    return [];
  }

  async prepare(bytes: Uint8Array) {
    this.hasLeftover = true;
    return {
      commit: async () => {
        this.text = bytes.toString();
        this.hasLeftover = false;
        return null;
      },
      discard: async () => {
        this.hasLeftover = false;
      },
    };
  }
}

test("a text takes the file's place before it is in force, and not where somebody else's has come meanwhile", async () => {
  const file = new File();
  const inForce: string[] = [];
  let meanwhile = (): void => {};
  const server = {
    configuration: configuration("/nowhere"),
    units: [],
    files: { run: async () => {} },
    reload: async (_next: unknown, { keep }: { keep(): Promise<void> }) => {
      meanwhile();
      try {
        await keep();
      } catch (error) {
        throw new ReconfigurationError((error as Error).message);
      }
      inForce.push(file.text);
      return { differences: [], unfinished: [] };
    },
  } as unknown as Server;
  const administration = new Administration(server, file as unknown as ConfigurationFile, silent);
  meanwhile = () => {
    file.text = "somebody's";
  };
  const refused = await administration.apply(Buffer.from("new"));
  assert.ok(!refused.ok && refused.reason === "conflict");
  assert.match(refused.message, /has changed since it was read/);
  assert.deepEqual([file.text, file.hasLeftover, inForce], ["somebody's", false, []]);
  file.text = "old";
  meanwhile = () => {};
  assert.equal((await administration.apply(Buffer.from("new"))).ok, true);
  assert.deepEqual([file.hasLeftover, inForce], [false, ["new"]]);
});

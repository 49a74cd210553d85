import assert from "node:assert/strict";
import { test } from "node:test";
import { Administration } from "../../../control/administration.js";
import type { ConfigurationFile } from "../../../control/config/configuration-file.js";
import { ADMINISTRATION_TIMEOUT_MS } from "../../../control/limits.js";
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
      return new Promise<never[]>((resolve) => {
        end = () => resolve([]);
      });
    },
  } as unknown as Server;
  const file = {
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

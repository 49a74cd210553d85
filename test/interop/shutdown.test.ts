/** SIGTERM while clients are at work: the target tells them, flushes, and ends with exit code 0. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type PeerRun, runPeer } from "../support/peer-process.js";
import { skipWithout } from "../support/peers.js";
import { shardsUsed, startVariant, VARIANTS } from "../support/variants.js";

/** Far more requests than there is time for. */
const ENDLESS = "100000000";
const LOAD_MS = 500;

for (const variant of VARIANTS) {
  test(`SIGTERM under load ends with 0 (${variant.name})`, { skip: skipWithout("qemu-img") }, async (context) => {
    const target = await startVariant(variant);
    context.after(() => target.stop());
    const abort = new AbortController();
    const ended: PeerRun[] = [];
    const clients = [["-w"], ["-w", "--flush-interval=64"], []].map(async (args) => {
      const bench = [
        "bench",
        "-f",
        "raw",
        "-t",
        "none",
        "-c",
        ENDLESS,
        "-d",
        "32",
        "-s",
        "4096",
        ...args,
        target.url(),
      ];
      ended.push(await runPeer("qemu-img", bench, { signal: abort.signal }));
    });
    context.after(() => abort.abort());
    const logins = (): number => target.log.filter((line) => line.includes('"logged in"')).length;
    while (logins() < clients.length && ended.length === 0) await sleep(20);
    await sleep(LOAD_MS);
    assert.equal(shardsUsed(target).length, variant.workers);
    assert.deepEqual(ended, [], "the clients are at work");

    assert.deepEqual(await target.terminate(), { code: 0, signal: null });
    // Errors and worse: levels 50 and 60.
    assert.deepEqual(
      target.log.filter((line) => /"level":[56]0/.test(line)),
      [],
    );
    abort.abort();
    await Promise.all(clients);
  });
}

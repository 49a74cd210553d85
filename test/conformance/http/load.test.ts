/** HTTP at full speed beside verified I/O: neither disturbs the other. bench/http.ts shows what it costs. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import autocannon from "autocannon";
import { RunningTarget } from "../../support/target.js";

const LOAD = fileURLToPath(new URL("../../../bench/load.js", import.meta.url));
const SECONDS = 2;

function verifiedLoad(url: string): Promise<{ exitCode: number | null; result: string; errors: string }> {
  const args = [
    url,
    "--json",
    "--mix",
    "50",
    "--size",
    "16MiB",
    "--verify",
    "--duration",
    `${SECONDS}`,
    "--ramp",
    "0.1",
  ];
  const child = spawn(process.execPath, [LOAD, ...args]);
  let result = "";
  let errors = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (result += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (errors += text));
  return new Promise((resolve) => child.once("close", (exitCode) => resolve({ exitCode, result, errors })));
}

test("verified I/O, while the metrics and the status are read as fast as can be", async (context) => {
  const target = await RunningTarget.start({ cache: "writeback" });
  context.after(() => target.stop());
  const url = `http://127.0.0.1:${target.places.httpPort}`;
  const paths = ["/metrics", "/api/v1/status", "/readyz", "/api/v1/openapi.json"];
  const [io, http] = await Promise.all([
    verifiedLoad(target.url()),
    autocannon({ url, connections: 4, duration: SECONDS, requests: paths.map((path) => ({ path })) }),
  ]);
  assert.equal(io.exitCode, 0, io.errors);
  const { ios, refusals } = JSON.parse(io.result);
  assert.ok(ios > 0);
  assert.equal(refusals, 0);
  assert.ok(http.requests.total > 0);
  assert.deepEqual([http.errors, http.timeouts, http.non2xx], [0, 0, 0]);
  const { code } = await target.terminate();
  assert.equal(code, 0, target.log.join("\n"));
});

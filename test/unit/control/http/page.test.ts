/** How the page's files are served. What it shows is tested in a browser: test/interop/page.test.ts. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { get, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Server } from "../../../../control/server.js";
import { configuration, silent } from "../support/fixtures.js";

const WORKER = new URL("../support/fake-shard.js", import.meta.url);
/** Of all its files together: it comes over slow lines, too. */
const LENGTH_MAX = 100_000;

let server: Server;
let path: string;

before(async () => {
  path = mkdtempSync(join(tmpdir(), "ringlun-page-"));
  const http = { listen: { host: "127.0.0.1", port: 0 }, hosts: [], tls: null };
  server = await Server.start(configuration(path, { http }), { logger: silent, worker: WORKER });
});

after(async () => {
  await server.stop(0);
  rmSync(path, { recursive: true });
});

async function ask(url: string, headers: Record<string, string> = {}) {
  const { port } = server.httpAddress!;
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ host: "127.0.0.1", port, path: url, headers }, resolve).on("error", reject);
  });
  let body = "";
  for await (const part of response.setEncoding("utf8")) body += part;
  return { status: response.statusCode, headers: response.headers as IncomingHttpHeaders, body };
}

/** Every file that the browser fetches: those that the document names, and what its scripts import. */
async function everyFile(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const waiting = ["/"];
  for (let url = waiting.pop(); url !== undefined; url = waiting.pop()) {
    if (files.has(url)) continue;
    const { status, body } = await ask(url);
    assert.equal(status, 200, url);
    files.set(url, body);
    const found = url.endsWith(".js")
      ? body.matchAll(/from "(\.[^"]+)"/g)
      : body.matchAll(/(?:src|href)="(page\/[^"]+)"/g);
    for (const [, reference] of found) waiting.push(new URL(reference!, `http://x${url}`).pathname);
  }
  return files;
}

test("everybody may have it, by files that are all there, and small", async () => {
  const files = await everyFile();
  for (const url of ["/", "/page/page.css", "/page/icon.svg", "/page/browser/main.js", "/page/format.js"]) {
    assert.ok(files.has(url), url);
  }
  const length = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  assert.ok(length < LENGTH_MAX, `${length} characters`);
});

test("what it may do is told to the browser: nothing but with files and paths of this server", async () => {
  for (const [url, type] of [
    ["/", "text/html; charset=utf-8"],
    ["/page/browser/main.js", "text/javascript; charset=utf-8"],
    ["/page/page.css", "text/css; charset=utf-8"],
    ["/page/icon.svg", "image/svg+xml"],
  ] as const) {
    const { headers } = await ask(url);
    assert.equal(headers["content-type"], type);
    assert.equal(headers["x-content-type-options"], "nosniff");
    const policy = String(headers["content-security-policy"]);
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';/);
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|http|data:/);
  }
});

test("what a browser has is not sent again", async () => {
  const { etag } = (await ask("/page/page.css")).headers;
  const again = await ask("/page/page.css", { "if-none-match": etag! });
  assert.deepEqual([again.status, again.body], [304, ""]);
  assert.equal((await ask("/page/page.css", { "if-none-match": '"another"' })).status, 200);
});

test("there is nothing else in its folder, and nothing outside of it", async () => {
  for (const url of [
    "/page/",
    "/page/browser/.tsbuildinfo",
    "/page/format.js.map",
    "/page/../main.js",
    "/page/%2e%2e/main.js",
  ]) {
    assert.equal((await ask(url)).status, 404, url);
  }
});

test("a request for another server gets nothing", async () => {
  assert.equal((await ask("/", { host: "evil.example" })).status, 421);
});

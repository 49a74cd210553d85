/** The page at /, in a real browser: that it shows what the API says, bears hostile names, fits a telephone, and comes back. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Browser } from "playwright-core";
import type { State, Statistics, Status } from "../../control/http/documents.js";
import { STATISTICS_STREAMS_MAX } from "../../control/limits.js";
import { byteRate, commandRate, latency } from "../../control/page/format.js";
import { ask, socketOf } from "../support/administration.js";
import { launchBrowser, VisitedPage } from "../support/browser.js";
import { read10, write10 } from "../support/cdb.js";
import { skipWithout } from "../support/peers.js";
import { RawInitiator } from "../support/raw-initiator.js";
import { type Places, RunningTarget, TARGET_NAME } from "../support/target.js";

const skip = skipWithout("chromium");
/** A long one; what could be taken for HTML is refused there (RFC 3722). */
const LONG_NAME = `iqn.2026-11.x:é${"y".repeat(180)}`;
/** What a name could do if it were taken for HTML. */
const HOSTILE_ALIAS = `</span><script>document.title = "hit"</script><b onclick='x'>&amp;`;
const BLOCK = 512;

const config = ({ port, port2, httpPort }: Places): string => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"] }
  - { tag: 2, portals: ["127.0.0.1:${port2}"], access: standby }
targets:
  - { name: "${TARGET_NAME}", alias: ${JSON.stringify(HOSTILE_ALIAS)}, portalGroups: [1, 2], luns: { 0: disk, 1: scratch } }
units:
  disk: { file: ./disk.img, size: 64MiB, cache: writeback, access: { 2: non-optimized } }
  scratch: { null: true, size: 2TiB, readOnly: true }
http: { listen: "127.0.0.1:${httpPort}" }
workers: 1
`;

const nothing = ({ port, httpPort }: Places): string => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: []
units: {}
http: { listen: "127.0.0.1:${httpPort}" }
workers: 1
`;

let browser: Browser;
let target: RunningTarget;

before(async () => {
  if (skip !== false) return;
  [browser, target] = await Promise.all([launchBrowser(), RunningTarget.start({ config })]);
});

after(async () => {
  await browser?.close();
  await target?.stop();
});

const url = () => `http://127.0.0.1:${target.places.httpPort}/`;

const pill = (visited: VisitedPage) => async () => (await visited.texts("#connection"))[0]!.trim();

function texts(visited: VisitedPage, row: string, fields: readonly string[]): Promise<(string | undefined)[]> {
  return Promise.all(fields.map(async (field) => (await visited.texts(`${row} [data-field="${field}"]`))[0]));
}

/** Reads and writes until it is told to stop. */
async function busy(initiator: RawInitiator, signal: AbortSignal): Promise<void> {
  const data = Buffer.alloc(16 * BLOCK, 5);
  while (!signal.aborted) {
    await initiator.good({ cdb: write10(0, 16), write: data });
    await initiator.good({ cdb: read10(0, 8), read: data.length / 2 });
  }
}

test("what is rendered is what the API says, under I/O, whatever initiators and targets call themselves", {
  skip,
}, async (context) => {
  const initiator = await RawInitiator.connect(target.port);
  await initiator.login({ initiatorName: LONG_NAME, targetName: TARGET_NAME });
  const stop = new AbortController();
  const load = busy(initiator, stop.signal);
  context.after(async () => {
    stop.abort();
    await load;
    initiator.destroy();
  });
  const visited = await VisitedPage.visit(browser, url(), { viewport: { width: 1280, height: 800 } });
  context.after(() => visited.close());
  const isBusy = () => ((visited.events.get("statistics") as Statistics | undefined)?.total.writes ?? 0) > 0;
  await visited.until(async () => isBusy(), Boolean);

  // What came last is on the page, until the next comes.
  const rendered = await visited.until(
    async () => {
      const statistics = visited.events.get("statistics") as Statistics;
      const { total, units } = statistics;
      const disk = units.find(({ name }) => name === "disk")!;
      const found = [
        await texts(visited, "#throughput", ["read", "write"]),
        await texts(visited, "#commands", ["read", "write"]),
        await texts(visited, "#latency", ["read", "readP99", "write", "writeP99"]),
        await texts(visited, "#units tbody tr:nth-child(1)", ["read", "reads", "write", "writes", "readMedian"]),
        await texts(visited, "#paths tbody tr:nth-child(1)", ["read", "write"]),
      ];
      const expected = [
        [byteRate(total.readBytes), byteRate(total.writtenBytes)],
        [commandRate(total.reads), commandRate(total.writes)],
        [total.readLatency, total.writeLatency].flatMap((it) => [latency(it?.p50), latency(it?.p99)]),
        [
          ...[byteRate(disk.readBytes), `${commandRate(disk.reads)}/s`],
          ...[byteRate(disk.writtenBytes), `${commandRate(disk.writes)}/s`, latency(disk.readLatency?.p50)],
        ],
        // One session: what it does is what goes over its path.
        statistics.sessions.flatMap(({ readBytes, writtenBytes }) => [byteRate(readBytes), byteRate(writtenBytes)]),
      ];
      return { found, expected };
    },
    ({ found, expected }) => JSON.stringify(found) === JSON.stringify(expected),
  );
  assert.match(rendered.found[0]![1]!, /^[1-9][0-9.]* [kMG]?B\/s$/, "something is written");

  const status = (await (await fetch(`${url()}api/v1/status`)).json()) as Status;
  assert.deepEqual(
    await visited.texts('#units [data-field="name"]'),
    status.units.map(({ name }) => name),
  );
  assert.deepEqual(await visited.texts('#units [data-field="about"]'), [
    "64 MiB · file · writeback · thin",
    "2 TiB · null · thin · read-only",
  ]);
  assert.deepEqual(await visited.texts("#units .chip"), [
    ...["optimized 1", "non-optimized 2"],
    ...["optimized 1", "standby 2"],
  ]);
  assert.deepEqual(await visited.texts("#paths .chip"), [
    "optimized",
    "non-optimized for 1 unit",
    "standby for 1 unit",
  ]);
  assert.deepEqual(
    await visited.texts('#paths [data-field="addresses"]'),
    status.portals.map(({ address }) => address),
  );
  const [session] = status.sessions;
  assert.deepEqual(await texts(visited, "#sessions tbody tr:nth-child(2)", ["name", "path", "peers"]), [
    ...[LONG_NAME, "Group 1", session!.connections[0]!.peer],
  ]);
  assert.equal(session!.initiatorName, LONG_NAME);
  assert.deepEqual(await texts(visited, "#sessions tbody tr:nth-child(1)", ["alias", "name"]), [
    HOSTILE_ALIAS,
    TARGET_NAME,
  ]);
  assert.deepEqual(await texts(visited, "#strip", ["sessions", "connections", "shards"]), ["1", "1", "1 of 1"]);
  assert.match(
    await visited.evaluate<string>(`document.querySelector("#throughput .write .line").getAttribute("d")`),
    /^M/,
  );

  // Names have stayed text.
  assert.equal(await visited.evaluate("document.querySelectorAll('img').length"), 1);
  assert.equal(await visited.evaluate("document.querySelectorAll('script').length"), 1);
  assert.doesNotMatch(await visited.page.title(), /hit/);
  assert.equal(await pill(visited)(), "Live");
  assert.deepEqual(visited.complaints, []);

  await phone(visited);
});

/** The same page with the same names on a screen of 360 pixels. */
async function phone(visited: VisitedPage): Promise<void> {
  await visited.page.setViewportSize({ width: 360, height: 740 });
  assert.equal(await visited.evaluate("document.documentElement.scrollWidth"), 360);
  // Nor does anything stick out of what would cut it off.
  const cut = await visited.evaluate<string[]>(
    `[...document.querySelectorAll("main *:not(thead, thead *)")].filter((it) => it.getBoundingClientRect().right > 360.5).map((it) => it.outerHTML)`,
  );
  assert.deepEqual(cut, []);
  for (const colorScheme of ["light", "dark"] as const) {
    await visited.page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    const ground = await visited.evaluate<string>("getComputedStyle(document.body).backgroundColor");
    assert.equal(ground, colorScheme === "light" ? "rgb(244, 245, 248)" : "rgb(12, 15, 21)");
    assert.equal(await visited.evaluate("document.getAnimations().length"), 0);
  }
}

test("the headings, tables and charts have names for those who do not see them", { skip }, async (context) => {
  const visited = await VisitedPage.visit(browser, url(), { viewport: { width: 1280, height: 800 } });
  context.after(() => visited.close());
  await visited.until(pill(visited), (text) => text === "Live");
  const headings = await visited.texts("h1, h2");
  const image = "Read and write throughput over the last two minutes";
  await visited.page.getByRole("img", { name: image }).waitFor();
  assert.deepEqual(
    headings.map((text) => text.trim().split(" ")[0]),
    ["Ringlun", "Throughput", "IOPS", "Latency", "Paths", "Units", "Sessions", "Shards"],
  );
  const tree = await visited.page.locator("main").ariaSnapshot();
  for (const name of ['region "Paths"', 'columnheader "Latency"', 'rowheader "disk', `img "${image}"`]) {
    assert.ok(tree.includes(name), `${name} in\n${tree}`);
  }
});

test("a portal that is taken out of service is marked", { skip }, async (context) => {
  const visited = await VisitedPage.visit(browser, url(), { viewport: { width: 1280, height: 800 } });
  context.after(() => visited.close());
  const portal = `127.0.0.1:${target.places.port2}`;
  const headers = { "content-type": "application/json" };
  const drain = { method: "POST", path: "/api/v1/drains", headers, body: JSON.stringify({ portal }) };
  const { status, document } = await ask(drain, socketOf(target.configPath));
  assert.equal(status, 201);
  const marks = () => visited.texts('#paths .chip[data-state="drained"]');
  assert.deepEqual(await visited.until(marks, ({ length }) => length > 0), [`${portal} drained`]);
  await ask({ method: "DELETE", path: `/api/v1/drains/${document.drainId}` }, socketOf(target.configPath));
  await visited.until(marks, ({ length }) => length === 0);
});

test("where too many look at it, the page says so, and waits for its turn", { skip }, async (context) => {
  const leave = new AbortController();
  const streams: Response[] = [];
  // The pages of the tests before this one are gone, but the server may not have heard of it yet: 503 until it has.
  while (streams.length < STATISTICS_STREAMS_MAX) {
    const stream = await fetch(`${url()}api/v1/statistics?interval=60`, { signal: leave.signal });
    if (stream.status === 200) streams.push(stream);
    else await stream.body?.cancel();
  }
  const visited = await VisitedPage.visit(browser, url(), { viewport: { width: 1280, height: 800 } });
  context.after(() => visited.close());
  const notice = async () => (await visited.texts("#notice"))[0]!;
  await visited.until(notice, (text) => text.includes("too many people may be looking at this page"));
  // Held until now: fetch cancels what nobody refers to.
  assert.equal(streams.length, STATISTICS_STREAMS_MAX);
  leave.abort();
  await visited.until(pill(visited), (text) => text === "Live");
});

test("a server that goes and comes back is told of, and shown again without a hand", { skip }, async (context) => {
  const visited = await VisitedPage.visit(browser, url(), { viewport: { width: 1280, height: 800 } });
  context.after(() => visited.close());
  await visited.until(pill(visited), (text) => text === "Live");
  const before = (visited.events.get("state") as State).startedAt;
  await target.kill9();
  await visited.until(pill(visited), (text) => text === "Connection lost");
  assert.match(
    (await visited.texts("#notice"))[0]!,
    /^The server does not answer\. Trying again\. What is shown is from /,
  );
  assert.match(await visited.page.title(), /^Connection lost/);
  await target.run();
  await visited.until(pill(visited), (text) => text === "Live");
  assert.notEqual((visited.events.get("state") as State).startedAt, before);
  assert.ok(await visited.evaluate("document.querySelector('#notice').hidden"));
  assert.match(
    (await visited.texts("#sessions .empty"))[0]!,
    /^Nobody is logged in\. Initiators reach 1 target at 127\.0\.0\.1:/,
  );

  // The same for a configuration with nothing in it.
  await target.configure(nothing(target.places));
  target.reload();
  await visited.until(
    () => visited.texts("#units tbody tr"),
    (rows) => rows.length === 0,
  );
  for (const [panel, text] of [
    ["units", /^\s*No unit is configured/],
    ["sessions", /^No target is configured/],
  ] as const) {
    assert.ok(await visited.page.locator(`#${panel} .empty`).isVisible());
    assert.match((await visited.texts(`#${panel} .empty`))[0]!, text);
    assert.ok(!(await visited.page.locator(`#${panel} table`).isVisible()));
  }
  assert.deepEqual(
    visited.complaints.filter(
      (text) =>
        !/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/.test(text),
    ),
    [],
  );
});

/** Changes over HTTP: who may make them, what they do to the configuration file, and that none is done by half. */
import assert from "node:assert/strict";
import { chmod, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Asked, ask as askAt, ringlun as ringlunOf, socketOf } from "../../support/administration.js";
import { testUnitReady } from "../../support/cdb.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";

const TOKEN = "a-token-that-nobody-guesses";

const config = ({ port, httpPort }: Places, size = "1MiB", more = "") => `# whose disks these are
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: a } }]
units:
  a: { file: ./a.img, size: ${size}, cache: writeback } # the first
${more}
http: { listen: "127.0.0.1:${httpPort}" }
api: { tokens: [{ name: ci, secret: "${TOKEN}" }] }
workers: 1
`;

let target: RunningTarget;

before(async () => {
  target = await RunningTarget.start({ config: (places) => config(places) });
  await chmod(target.configPath, 0o640);
});

after(() => target.stop());

const ask = (asked: Asked, place: string | number = target.places.httpPort) => askAt(asked, place);
const ringlun = (...args: string[]) => ringlunOf(target.configPath, ...args);
const socket = () => socketOf(target.configPath);

const put = (body: string, headers: Record<string, string> = {}, query = ""): Asked => ({
  method: "PUT",
  path: `/api/v1/config${query}`,
  headers: { "content-type": "application/yaml", ...headers },
  body,
});

describe("who may change something", () => {
  test("over TCP nobody without a token, and nobody with a wrong one", async () => {
    const before = await readFile(target.configPath, "utf8");
    const privileged: Asked[] = [
      put(config(target.places, "2MiB")),
      { path: "/api/v1/config" },
      { method: "POST", path: "/api/v1/config/reload" },
      { method: "DELETE", path: "/api/v1/sessions/1" },
      {
        method: "PUT",
        path: "/api/v1/log",
        headers: { "content-type": "application/json" },
        body: '{"level":"trace"}',
      },
    ];
    for (const asked of privileged) {
      for (const authorization of [undefined, "Bearer nonsense", `Bearer ${TOKEN}x`, `Basic ${TOKEN}`]) {
        const headers = { ...asked.headers, ...(authorization === undefined ? {} : { authorization }) };
        assert.equal((await ask({ ...asked, headers })).status, 401, `${asked.path} ${authorization}`);
      }
    }
    assert.equal(await readFile(target.configPath, "utf8"), before);
  });

  test("with a token, or through the socket, which is its owner's alone", async () => {
    const authorization = `bearer ${TOKEN}`;
    assert.equal((await ask({ path: "/api/v1/config", headers: { authorization } })).status, 200);
    assert.equal((await ask({ path: "/api/v1/config" }, socket())).status, 200);
    assert.equal((await stat(socket())).mode & 0o777, 0o600);
  });

  test("no web page of another origin, and nobody who asks for another server", async () => {
    const authorization = `Bearer ${TOKEN}`;
    const asked = { path: "/api/v1/config" };
    for (const origin of ["http://evil.example", "http://192.0.2.7", "null"]) {
      assert.equal((await ask({ ...asked, headers: { authorization, origin } })).status, 403, origin);
    }
    assert.equal((await ask({ ...asked, headers: { authorization, host: "evil.example" } })).status, 421);
    const host = `127.0.0.1:${target.places.httpPort}`;
    assert.equal((await ask({ ...asked, headers: { authorization, origin: `http://${host}` } })).status, 200);
  });

  test("no token and no secret is in any answer", async () => {
    for (const path of ["/api/v1/status", "/api/v1/config", "/api/v1/sessions", "/api/v1/openapi.json"]) {
      assert.ok(!JSON.stringify((await ask({ path }, socket())).document).includes(TOKEN), path);
    }
    assert.ok(target.log.every((line) => !line.includes(TOKEN)));
  });
});

describe("a configuration that is put", () => {
  test("is in force at once and after a restart: the file is the text that was sent, with its permissions", async () => {
    const initiator = await RawInitiator.connect(target.port);
    await initiator.login({ targetName: TARGET_NAME });
    await initiator.good({ cdb: testUnitReady() });
    const next = config(target.places, "2MiB", "  b: { file: ./b.img, size: 1MiB }");
    const looked = await ask(put(next, {}, "?dryRun=true"), socket());
    assert.equal(looked.status, 200);
    assert.ok(!(await readFile(target.configPath, "utf8")).includes("2MiB"));
    const { status, document } = await ask(put(next), socket());
    assert.equal(status, 200);
    assert.deepEqual(document.differences, looked.document.differences);
    assert.deepEqual(document.differences, [
      { path: "units.a.size", kind: "changed", from: "1048576", to: "2097152", effect: "live" },
      { path: "units.b", kind: "added", effect: "live" },
    ]);
    assert.equal(await readFile(target.configPath, "utf8"), next);
    assert.equal((await stat(target.configPath)).mode & 0o777, 0o640);
    initiator.destroy();
    // A socket that a killed process leaves is no obstacle.
    await target.kill9();
    await target.run();
    const units = await ask({ path: "/api/v1/units" }, socket());
    assert.deepEqual(
      units.document.map(({ name, sizeBytes }: { name: string; sizeBytes: number }) => [name, sizeBytes]),
      [
        ["a", 2 << 20],
        ["b", 1 << 20],
      ],
    );
  });

  test("with faults changes nothing, and names each with its line", async () => {
    const before = await readFile(target.configPath, "utf8");
    const { status, document } = await ask(put(`${before}bogus: 1\nportalGroups: []\n`), socket());
    assert.equal(status, 400);
    assert.ok(document.faults.length >= 1);
    for (const fault of document.faults) assert.ok(fault.line > 0 && fault.message !== "");
    assert.equal(await readFile(target.configPath, "utf8"), before);
  });

  test("reaches for no file outside of api.fileRoots, by no path", async () => {
    const before = await readFile(target.configPath, "utf8");
    for (const file of ["/etc/passwd", "../outside.img", "./x/../../outside.img"]) {
      const next = before.replace("units:\n", `units:\n  evil: { file: "${file}", size: 1MiB }\n`);
      const { status, document } = await ask(put(next), socket());
      assert.ok(status === 403 || status === 400, `${file}: ${status}`);
      assert.match(JSON.stringify(document), /fileRoots|cannot be reached|units.evil/);
    }
    assert.equal(await readFile(target.configPath, "utf8"), before);
  });

  test("does not reach further for the next one: api.fileRoots is for people to widen", async () => {
    const before = await readFile(target.configPath, "utf8");
    const reachingFor = (roots: string) => before.replace("api: {", `api: { fileRoots: [${roots}],`);
    for (const roots of ["/", "., ..", "/var"]) {
      for (const query of ["", "?dryRun=true"]) {
        const { status, document } = await ask(put(reachingFor(roots), {}, query), socket());
        assert.equal(status, 403, roots);
        assert.match(document.message, /^api\.fileRoots: requests do not add \/\S*: write it into the file/);
      }
    }
    assert.equal(await readFile(target.configPath, "utf8"), before);
    // People may: requests that leave it as it is are welcome then.
    await writeFile(target.configPath, reachingFor("., .."));
    assert.equal((await ask({ method: "POST", path: "/api/v1/config/reload" }, socket())).status, 200);
    assert.equal((await ask(put(`${reachingFor("., ..")}# both\n`), socket())).status, 200);
    assert.equal((await ask(put(before), socket())).status, 200);
  });

  test("is refused where the file has changed meanwhile, or it was made from another one", async () => {
    const before = await readFile(target.configPath, "utf8");
    const next = before.replace("# the first", "# the very first");
    assert.equal((await ask(put(next, { "if-match": '"0123"' }), socket())).status, 409);
    await writeFile(target.configPath, `${before}# somebody was here\n`);
    assert.equal((await ask(put(next), socket())).status, 409);
    assert.match(await readFile(target.configPath, "utf8"), /somebody was here/);
    const reloaded = await ask({ method: "POST", path: "/api/v1/config/reload" }, socket());
    assert.equal(reloaded.status, 200);
    const { digest } = reloaded.document;
    assert.equal((await ask(put(next, { "if-match": `"${digest}"` }), socket())).status, 200);
    assert.equal(await readFile(target.configPath, "utf8"), next);
  });

  test("that cannot be had leaves the file as it is", async () => {
    const before = await readFile(target.configPath, "utf8");
    const next = before.replace("units:\n", "units:\n  c: { file: ./missing.img }\n");
    const { status, document } = await ask(put(next), socket());
    assert.ok(status === 409 || status === 400);
    assert.match(JSON.stringify(document), /missing\.img|units\.c/);
    assert.equal(await readFile(target.configPath, "utf8"), before);
  });
});

test("a session is ended, and its initiator comes back", async () => {
  const initiator = await RawInitiator.connect(target.port);
  await initiator.login({ targetName: TARGET_NAME });
  const sessions = (await ask({ path: "/api/v1/sessions" }, socket())).document;
  const { sessionId, parameters } = sessions[0];
  assert.equal(parameters.errorRecoveryLevel, 0);
  const ended = await ask({ method: "DELETE", path: `/api/v1/sessions/${sessionId}` }, socket());
  assert.deepEqual(ended, { status: 200, document: { ended: true } });
  await initiator.receiveUntilClosed();
  assert.equal((await ask({ method: "DELETE", path: `/api/v1/sessions/${sessionId}` }, socket())).status, 404);
  assert.equal((await ask({ method: "DELETE", path: "/api/v1/sessions/none" }, socket())).status, 400);
  const again = await RawInitiator.connect(target.port);
  await again.login({ targetName: TARGET_NAME });
  again.destroy();
});

describe("the command line", () => {
  test("shows tables, and with --json what the API says", async () => {
    const units = await ringlun("units");
    assert.equal(units.code, 0, units.stderr);
    assert.match(units.stdout, /^NAME +KIND +SIZE/);
    assert.match(units.stdout, /^a +file +2 MiB/m);
    assert.equal(JSON.parse((await ringlun("units", "--json")).stdout)[0].name, "a");
    assert.match((await ringlun("status")).stdout, /ready, since/);
    const top = await ringlun("top", "--interval", "0.1", "--count", "2", "--json");
    assert.equal(top.code, 0, top.stderr);
    assert.equal(top.stdout.trim().split("\n").length, 2);
    assert.equal(JSON.parse(top.stdout.split("\n")[0]!).units[0].name, "a");
  });

  test("its exit codes mean something: 0, 2 for faults, 3 refused, 1 nobody there", async () => {
    const file = join(target.places.directory, "next.yaml");
    const before = await readFile(target.configPath, "utf8");
    await writeFile(file, before.replace("2MiB", "3MiB"));
    const diff = await ringlun("diff", "--file", file);
    assert.deepEqual([diff.code, diff.stdout], [0, "~ units.a.size: 2097152 -> 3145728\n"]);
    assert.equal((await ringlun("apply", "--file", file)).code, 0);
    assert.equal((await ringlun("diff", "--file", file)).stdout, "nothing is different\n");
    await writeFile(file, `${before}bogus: 1\n`);
    const faulty = await ringlun("apply", "--file", file);
    assert.equal(faulty.code, 2);
    assert.match(faulty.stderr, /next\.yaml:\d+:1: bogus: is unknown/);
    assert.equal((await ringlun("sessions", "end", "999999")).code, 3);
    const nobody = await ringlun("status", "--socket", "/nowhere/api.sock");
    assert.equal(nobody.code, 1);
    assert.match(nobody.stderr, /nobody listens at \/nowhere\/api\.sock: does ringlun run\?/);
  });
});

import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ConfigurationFile } from "../../../../control/config/configuration-file.js";
import { digestOf } from "../../../../control/config/load.js";
import fc from "../../../support/fast-check.js";
import { temporaryFolder } from "../../../support/undo.js";
import { writeFiles } from "./fixture.js";
import { slip, slipped } from "./yaml-variants.js";

const TEXT = `# what is served
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:3260"] }
  - tag: 2
    portals: [ "127.0.0.1:3261" ]
targets:
  - name: iqn.2026-11.io.ringlun:a   # the first
    portalGroups: [1, 2]
    luns: { 0: a, 1: { unit: b, readOnly: true } }
    auth:
      chap: [{ user: alice, secret: "0123456789abcdef" }]
      mutual: { user: target, secret: "fedcba9876543210" }

  # for the cluster
  - { name: "iqn.2026-11.io.ringlun:B", portalGroups: [1], luns: { 1: b } }
  - name: iqn.2026-11.io.ringlun:c
    portalGroups: [2]
    session: { maxBurstLength: 65536, firstBurstLength: 65536 }
    initiators:
      - { name: "iqn.1993-08.org.debian:01:*", luns: { 0: c } }
      - { group: cluster, limits: { iops: 100 } }
units:
  a: { null: true, size: 1GiB }
  # the second
  b:
    null: true
    size: 1GiB # enough

  c: { null: true, size: 2GiB, access: { 1: standby } }
initiatorGroups:
  cluster: [iqn.1993-08.org.debian:01:a, iqn.1993-08.org.debian:01:b]
log: { level: warn }
`;

test("a text is judged as it would be if the file had not had others before", (t) => {
  const folder = temporaryFolder(t);
  writeFiles(folder, { "ringlun.yaml": TEXT });
  const path = join(folder, "ringlun.yaml");
  const judged = { sound: 0, faulty: 0 };
  const values = fc.constantFrom("a", "b", "c", "1", "2", "0", "iops", "alice", "cluster", "1GiB", "true", "~");
  const exchange = fc.record({ from: fc.nat(), to: values });
  fc.assert(
    fc.property(fc.array(slip, { maxLength: 4 }), fc.array(exchange, { maxLength: 4 }), (slips, exchanges) => {
      const file = new ConfigurationFile(path, "");
      let text = TEXT;
      const edits = [
        (it: string) => it,
        // A word becomes another one: the text stays YAML, and means something else.
        ...exchanges.map(({ from, to }) => (it: string) => {
          const words = [...it.matchAll(/[\w.:*-]*\w/g)];
          const { 0: word, index } = words[from % words.length]!;
          return it.slice(0, index) + to + it.slice(index + word.length);
        }),
        ...slips.map((one) => (it: string) => slipped(it, one)),
      ];
      for (const edit of edits) {
        text = edit(text);
        const bytes = Buffer.from(text);
        const result = file.check(bytes);
        assert.deepEqual(result, new ConfigurationFile(path, "").check(bytes), text);
        judged[result.ok ? "sound" : "faulty"]++;
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(judged.sound > 10 && judged.faulty > 10, JSON.stringify(judged));
});

/** A file in a folder of its own, whose text is in force. */
function setUp(context: TestContext, files: Readonly<Record<string, string>> = {}) {
  const folder = temporaryFolder(context);
  writeFiles(folder, { "ringlun.yaml": TEXT, ...files });
  const path = join(folder, "ringlun.yaml");
  return { folder, path, file: new ConfigurationFile(path, digestOf(Buffer.from(TEXT))) };
}

const NEW = Buffer.from(`${TEXT}# more\n`);

test("a text takes the place of the file where its path leads to, and the link stays", async (context) => {
  const folder = temporaryFolder(context);
  mkdirSync(join(folder, "kept"));
  writeFiles(folder, { "kept/real.yaml": TEXT });
  const path = join(folder, "ringlun.yaml");
  symlinkSync("kept/real.yaml", path);
  const file = new ConfigurationFile(path, digestOf(Buffer.from(TEXT)));
  assert.equal(await (await file.prepare(NEW)).commit(), null);
  assert.ok(lstatSync(path).isSymbolicLink());
  assert.equal(readFileSync(join(folder, "kept/real.yaml"), "utf8"), NEW.toString());
  assert.ok(file.isAsLoaded());
  assert.deepEqual(readdirSync(join(folder, "kept")), ["real.yaml"]);
});

test("the file keeps its permissions, and its owner where that is allowed", async (context) => {
  const { path, file } = setUp(context);
  chmodSync(path, 0o640);
  if (process.getuid?.() === 0) chownSync(path, 12, 34);
  const { uid, gid } = statSync(path);
  await (await file.prepare(NEW)).commit();
  const after = statSync(path);
  assert.deepEqual([after.mode & 0o777, after.uid, after.gid], [0o640, uid, gid]);
});

test("what is given up leaves nothing, and the old text", async (context) => {
  const { folder, path, file } = setUp(context);
  const prepared = await file.prepare(NEW);
  assert.equal(readdirSync(folder).length, 2);
  await prepared.discard();
  assert.deepEqual(readdirSync(folder), ["ringlun.yaml"]);
  assert.equal(readFileSync(path, "utf8"), TEXT);
});

test("what cannot be put in its place says so, and what to do", async (context) => {
  const { folder, path, file } = setUp(context);
  const prepared = await file.prepare(NEW);
  // A folder is in the way now.
  rmSync(path);
  mkdirSync(path);
  await assert.rejects(prepared.commit(), /ringlun.yaml cannot be written, and nothing has changed: EISDIR: /);
  await prepared.discard();
  assert.deepEqual(readdirSync(folder), ["ringlun.yaml"]);
  await assert.rejects(new ConfigurationFile(join(folder, "none", "x.yaml"), "").prepare(NEW), /ENOENT/);
});

test("what a killed process has left beside the file goes with the next text, and nothing else does", async (context) => {
  const others = [
    ".ringlun.yaml.tmp",
    ".ringlun.yaml.0123456789abcdef.tmp~",
    ".ringlun.yaml.0123456789ABCDEF.tmp",
    ".other.yaml.0123456789abcdef.tmp",
    "ringlun.yaml.0123456789abcdef.tmp",
  ];
  const { folder, file } = setUp(context, Object.fromEntries(others.map((name) => [name, "theirs"])));
  writeFiles(folder, { ".ringlun.yaml.0123456789abcdef.tmp": "ours" });
  // A name of ours that is no file of ours.
  symlinkSync("ringlun.yaml", join(folder, ".ringlun.yaml.00000000000000aa.tmp"));
  const kept = ["ringlun.yaml", ".ringlun.yaml.00000000000000aa.tmp", ...others].sort();
  await file.removeLeftovers();
  assert.deepEqual(readdirSync(folder).sort(), kept);
  writeFiles(folder, { ".ringlun.yaml.fedcba9876543210.tmp": "ours" });
  await (await file.prepare(NEW)).commit();
  assert.deepEqual(readdirSync(folder).sort(), kept);
});

test("the files of units that a text names are found in whatever is sound of it", (context) => {
  const { folder, file } = setUp(context);
  const named = file.filesNamed(
    Buffer.from("units: { a: { file: a.img }, b: 7, c: { file: /b/c.img }, d: { null: true } }\nx: ["),
  );
  assert.deepEqual(named, []);
  assert.deepEqual(
    file.filesNamed(Buffer.from("units: { a: { file: a.img }, b: 7, c: { file: /b/c.img }, d: { null: true } }")),
    [join(folder, "a.img"), "/b/c.img"],
  );
  assert.deepEqual(file.filesNamed(Buffer.from("units: [1]")), []);
  assert.deepEqual(file.filesNamed(), []);
});

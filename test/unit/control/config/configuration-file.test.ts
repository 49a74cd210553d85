import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { ConfigurationFile } from "../../../../control/config/configuration-file.js";
import fc from "../../../support/fast-check.js";
import { temporaryFolder, writeFiles } from "./fixture.js";
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

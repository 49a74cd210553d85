import assert from "node:assert/strict";
import { test } from "node:test";
import { targetPlace, unitPlace } from "../../../../../control/config/edits/places.js";
import { YamlText } from "../../../../../control/config/yaml-text.js";

const TEXT = `
targets: [{ name: "iqn.2026-11.io.ringlun:vm" }]
units: { database: { null: true, size: 1GiB } }
`;

test("what is there is found", () => {
  const yaml = new YamlText(TEXT);
  assert.deepEqual(targetPlace(yaml, "IQN.2026-11.io.ringlun:vm"), ["targets", 0]);
  assert.deepEqual(unitPlace(yaml, "database"), ["units", "database"]);
});

test("a slip is told what it was probably meant to be; what is like nothing is not", () => {
  const yaml = new YamlText(TEXT);
  const message = (message: string) => ({ name: "EditError", message });
  assert.throws(() => unitPlace(yaml, "datbase"), message("there is no unit datbase; did you mean database?"));
  assert.throws(() => unitPlace(yaml, "scratch"), message("there is no unit scratch"));
  assert.throws(
    () => targetPlace(yaml, "iqn.2026-11.io.ringlun:vn"),
    message("there is no target iqn.2026-11.io.ringlun:vn; did you mean iqn.2026-11.io.ringlun:vm?"),
  );
  assert.throws(() => unitPlace(new YamlText("targets: []\n"), "any"), message("there is no unit any"));
});

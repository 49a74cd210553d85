import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseStat } from "../../../bench/cpu-time.js";
import { parseTargetUrl } from "../../../bench/initiator/url.js";
import { parseBytes, parseKey, parseMix, parsePositive, parseSeconds } from "../../../bench/options.js";
import { formatTable, median, spread } from "../../../bench/statistics.js";

describe("parseTargetUrl", () => {
  test("takes IPv4, IPv6, a port or none, credentials or none", () => {
    assert.deepEqual(parseTargetUrl("iscsi://192.0.2.1:3261/iqn.2026-11.io.ringlun:a/7"), {
      host: "192.0.2.1",
      port: 3261,
      targetName: "iqn.2026-11.io.ringlun:a",
      lun: 7,
    });
    assert.deepEqual(parseTargetUrl("iscsi://alice%0123456789ab@[::1]/iqn.x/0"), {
      host: "::1",
      port: 3260,
      targetName: "iqn.x",
      lun: 0,
      user: "alice",
      secret: "0123456789ab",
    });
  });

  test("names what it cannot read", () => {
    for (const text of [
      "",
      "http://a/b/0",
      "iscsi://h/iqn",
      "iscsi://h/iqn/x",
      "iscsi:///iqn/0",
      "iscsi://h:p/iqn/0",
    ]) {
      assert.throws(() => parseTargetUrl(text), /iscsi:\/\//, text);
    }
  });
});

describe("options", () => {
  test("sizes are powers of two", () => {
    assert.deepEqual(["512", "4k", "256KiB", "1G", "2tb"].map(parseBytes), [512, 4096, 262144, 2 ** 30, 2 ** 41]);
    for (const text of ["", "k", "4q", "-1", "1.5k"]) assert.throws(() => parseBytes(text), text);
  });

  test("the mix is a percentage of reads", () => {
    assert.deepEqual(["read", "write", "70", "0"].map(parseMix), [100, 0, 70, 0]);
    for (const text of ["101", "reads", ""]) assert.throws(() => parseMix(text), text);
  });

  test("numbers and keys", () => {
    assert.equal(parseSeconds("0.5"), 0.5);
    for (const text of ["", "-1", "x", "Infinity"]) assert.throws(() => parseSeconds(text), text);
    for (const text of ["0", "1e3", "-2"]) assert.throws(() => parsePositive(text), text);
    assert.deepEqual(parseKey("B=x=y", { A: "1" }), { A: "1", B: "x=y" });
    assert.throws(() => parseKey("=x", {}));
  });
});

describe("measuring", () => {
  test("utime and stime of /proc/PID/stat, whatever the process is called", () => {
    const stat = "12 (a) b (c)) S 1 12 12 0 -1 4194560 1 0 0 0 345 67 0 0 20 0 11 0 100 1 1";
    assert.deepEqual(parseStat(stat, 10_000), { userUs: 3_450_000, systemUs: 670_000 });
  });

  test("median and spread", () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 2, 3]), 2.5);
    assert.equal(spread([8, 10, 12]), 0.4);
  });

  test("tables line up", () => {
    assert.equal(
      formatTable([
        ["a", "bb"],
        ["ccc", "d"],
      ]),
      "a    bb\nccc   d",
    );
  });
});

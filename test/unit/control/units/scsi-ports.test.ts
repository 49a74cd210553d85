import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionRegistry } from "../../../../control/session-registry.js";
import { answerScsiPorts, scsiPortsPage } from "../../../../control/units/scsi-ports.js";
import { AGREEMENT, INITIATOR, TARGET } from "../support/fixtures.js";

test("a descriptor for each port, with its name", () => {
  // "iqn.2026-11.io:a,t,0x0001" has 25 bytes, with its NUL 28 in whole words.
  const name = (tag: string) => `${Buffer.from(`iqn.2026-11.io:a,t,0x${tag}`).toString("hex")}000000`;
  const port = (tag: string) => `0000${tag}0000000000000020` + `5398001c${name(tag)}`;
  const page = scsiPortsPage("iqn.2026-11.io:a", [1, 0x0a0b]);
  assert.equal(Buffer.from(page).toString("hex"), `00880058${port("0001")}${port("0a0b")}`);
});

test("as many ports as a page can tell of", () => {
  const longest = `iqn.2026-11.io:${"x".repeat(223 - 15)}`;
  const page = Buffer.from(
    scsiPortsPage(
      longest,
      Array.from({ length: 65_536 }, (_, tag) => tag),
    ),
  );
  assert.equal(page.readUInt16BE(2), page.length - 4);
  assert.ok(page.length <= 0xffff + 4);
  // 12 bytes and a designator of 4 + 236 each: 223 of the name, 9 of the tag, a NUL, padding.
  assert.equal(page.length, 4 + Math.floor(0xffff / 252) * 252);
});

test("the ports are those of the target and the session's own, cut to what the initiator has room for", () => {
  const identity = { initiatorName: INITIATOR, isid: "00023d000001", targetName: TARGET, portalGroup: 1 };
  const session = new SessionRegistry(0).open(identity, 0, AGREEMENT, []);
  const ask = (allocationLength: string) =>
    answerScsiPorts({ session, cdb: Uint8Array.from(Buffer.from(`120188${allocationLength}00`, "hex")) }, [7, 2]);
  const whole = ask("ffff");
  assert.equal(whole.kind === "good" && whole.data, Buffer.from(scsiPortsPage(TARGET, [1, 2, 7])).toString("hex"));
  const cut = ask("0005");
  assert.ok(whole.kind === "good" && cut.kind === "good");
  assert.equal(cut.data, whole.data!.slice(0, 10));
});

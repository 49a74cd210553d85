/** CHAP logins of libiscsi and of qemu, whose driver is libiscsi's: one-way, and mutual. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { peerOutput, runPeer } from "../support/peer-process.js";
import { skipWithout } from "../support/peers.js";
import { type Places, RunningTarget, TARGET_NAME } from "../support/target.js";

const SECRET = "0123456789abcdef";
const TARGET_SECRET = "fedcba9876543210";

const config = ({ port }: Places): string => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1]
    auth:
      chap: [{ user: alice, secret: "${SECRET}" }]
      mutual: { user: target, secret: "${TARGET_SECRET}" }
    luns: { 0: disk }
discovery: { auth: { chap: [{ user: finder, secret: "${SECRET}finder" }] } }
units: { disk: { file: ./disk.img, size: 16MiB } }
workers: 1
`;

async function start(context: { after(hook: () => unknown): void }) {
  const target = await RunningTarget.start({ config });
  context.after(() => target.stop());
  const portal = `127.0.0.1:${target.port}`;
  return {
    target,
    portal,
    url: (credential: string, args = "") => `iscsi://${credential}${portal}/${TARGET_NAME}/0${args}`,
  };
}

test("qemu logs in with user and secret, and with nothing else", { skip: skipWithout("qemu-io") }, async (context) => {
  const { target, portal, url } = await start(context);
  const commands = ["-f", "raw", "-c", "write -P 0x42 1M 64k", "-c", "read -P 0x42 1M 64k"];
  await peerOutput("qemu-io", [...commands, url(`alice%${SECRET}@`)]);
  await target.waitForLog(/"user":"alice".*"msg":"logged in"/);

  // As libvirt does it: the secret in an object of its own.
  const image = `driver=iscsi,transport=tcp,portal=${portal},target=${TARGET_NAME},lun=0,user=alice,password-secret=chap`;
  const secret = `secret,id=chap,data=${SECRET}`;
  await peerOutput("qemu-io", ["--object", secret, "-c", "read -P 0x42 1M 64k", "--image-opts", image]);

  for (const credential of ["", `alice%${SECRET}x@`, `bob%${SECRET}@`]) {
    const refused = await runPeer("qemu-io", [...commands, url(credential)]);
    assert.equal(refused.exitCode, 1, credential);
    assert.match(refused.stderr, /Authentication failure\(513\)/, credential);
  }
  assert(!target.log.some((line) => line.includes(SECRET)), "no secret in the log");
});

test("libiscsi makes the target prove itself", { skip: skipWithout("iscsi-inq") }, async (context) => {
  const { target, url } = await start(context);
  const login = (secret: string) => url(`alice%${SECRET}@`, `?target_user=target&target_password=${secret}`);
  assert.match(await peerOutput("iscsi-inq", [login(TARGET_SECRET)]), /^Vendor:RINGLUN/m);

  // Had the target's answer been anything else, libiscsi would have noticed.
  const disappointed = await runPeer("iscsi-inq", [login(`${TARGET_SECRET}x`)]);
  assert.notEqual(disappointed.exitCode, 0);
  assert.match(disappointed.stderr, /Invalid CHAP_R response from the target/);
  assert(!target.log.some((line) => line.includes(TARGET_SECRET)), "no secret in the log");
});

test("discovery with a credential of its own", { skip: skipWithout("iscsi-ls") }, async (context) => {
  const { portal } = await start(context);
  const listed = await peerOutput("iscsi-ls", [`iscsi://finder%${SECRET}finder@${portal}`]);
  assert.equal(listed.trim(), `Target:${TARGET_NAME} Portal:${portal},1`);
  for (const credential of ["", `alice%${SECRET}@`]) {
    const refused = await runPeer("iscsi-ls", [`iscsi://${credential}${portal}`]);
    assert.notEqual(refused.exitCode, 0, credential);
    assert.doesNotMatch(refused.stdout.toString(), /^Target:/m, credential);
  }
});

test("a credential that nobody asks for", {
  skip: skipWithout("iscsi-ls", "iscsi-inq", "qemu-img"),
}, async (context) => {
  const target = await RunningTarget.start();
  context.after(() => target.stop());
  const portal = `127.0.0.1:${target.port}`;
  const url = `iscsi://alice%${SECRET}@${portal}`;
  assert.equal((await peerOutput("iscsi-ls", [url])).trim(), `Target:${TARGET_NAME} Portal:${portal},1`);
  assert.match(await peerOutput("iscsi-inq", [`${url}/${TARGET_NAME}/0`]), /^Vendor:RINGLUN/m);
  assert.match(await peerOutput("qemu-img", ["info", `${url}/${TARGET_NAME}/0`]), /^virtual size: /m);
});

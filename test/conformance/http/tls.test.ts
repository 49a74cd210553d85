/** HTTPS: who is let in, the command line as its client, and another certificate while sessions go on. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type ConnectionOptions, connect, type PeerCertificate } from "node:tls";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { testUnitReady } from "../../support/cdb.js";
import { type CertificateFiles, makeCertificate } from "../../support/certificates.js";
import { skipWithout } from "../../support/peers.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";

const MAIN = fileURLToPath(new URL("../../../control/main.js", import.meta.url));
const TOKEN = "a-token-that-nobody-guesses";

const config = ({ port, httpPort, directory }: Places) => {
  made = [makeCertificate(directory), makeCertificate(directory, "next")];
  writeFileSync(join(directory, "token"), `${TOKEN}\n`, { mode: 0o600 });
  return `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: a } }]
units: { a: { null: true, size: 1MiB } }
http: { listen: "127.0.0.1:${httpPort}", tls: { certificate: server.crt, key: server.key } }
api: { tokens: [{ name: ci, secretFile: token }] }
workers: 1
`;
};

let target: RunningTarget;
let made: readonly CertificateFiles[];

describe("HTTP over TLS", { skip: skipWithout("openssl") }, () => {
  before(async () => {
    target = await RunningTarget.start({ config });
  });
  after(() => target.stop());

  const ca = (at = 0) => readFileSync(made[at]!.certificate);

  /** The name in the certificate that a handshake brings. */
  function handshake(options: ConnectionOptions = { ca: ca() }): Promise<{ name: string; protocol: string | null }> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host: "127.0.0.1", port: target.places.httpPort, ...options }, () => {
        const { subject } = socket.getPeerCertificate() as PeerCertificate;
        resolve({ name: String(subject.CN), protocol: socket.getProtocol() });
        socket.destroy();
      });
      socket.once("error", reject);
    });
  }

  async function ringlun(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const environment = { ...process.env };
    delete environment.RINGLUN_TOKEN;
    try {
      return { code: 0, ...(await promisify(execFile)(process.execPath, [MAIN, ...args], { env: environment })) };
    } catch (error) {
      return error as { code: number; stdout: string; stderr: string };
    }
  }

  const url = () => `https://localhost:${target.places.httpPort}`;

  test("TLS 1.2 and 1.3 are spoken, and nothing older", async () => {
    assert.deepEqual(await handshake(), { name: "server", protocol: "TLSv1.3" });
    assert.equal((await handshake({ ca: ca(), maxVersion: "TLSv1.2" })).protocol, "TLSv1.2");
    // A client of today has to be asked for less security before it speaks it.
    const old = { ca: ca(), minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    await assert.rejects(handshake(old), /ERR_SSL|alert|EPROTO|ECONNRESET/i);
  });

  test("the command line asks over it: with the certificates to trust, and the token from a file", async () => {
    const asked = await ringlun("status", "--json", "--url", url(), "--ca", made[0]!.certificate);
    assert.equal(asked.code, 0, asked.stderr);
    assert.equal((JSON.parse(asked.stdout) as { ready: boolean }).ready, true);
    const over = ["--url", url(), "--ca", made[0]!.certificate];
    const token = join(target.places.directory, "token");
    assert.equal((await ringlun("reload", ...over, "--token-file", token)).code, 0);
    assert.equal((await ringlun("reload", ...over)).code, 3);
    const nothing = await ringlun("reload", ...over, "--token-file", join(token, "nothing"));
    assert.equal(nothing.code, 1);
    assert.match(nothing.stderr, /^ringlun: --token-file names .*token\/nothing, which cannot be read: ENOTDIR/);
  });

  test("it says what to do where the certificate is not trusted, or there is no TLS", async () => {
    const stranger = await ringlun("status", "--url", url());
    assert.equal(stranger.code, 1);
    assert.match(stranger.stderr, /the certificate of https:.* comes from nobody that is trusted: .*--ca/);
    const plain = await ringlun("status", "--url", url().replace("https:", "http:"));
    assert.equal(plain.code, 1);
    assert.match(plain.stderr, /^ringlun: http:.* has closed the connection: is it https:\/\/\?$/m);
  });

  test("another certificate takes the place of the old one on a reload, and sessions go on", async () => {
    const initiator = await RawInitiator.connect(target.port);
    await initiator.login({ targetName: TARGET_NAME });
    const folder = target.places.directory;
    const reload = () => ringlun("reload", "--socket", join(`${target.configPath}.state`, "api.sock"));
    // Only half of it is there: nothing changes.
    copyFileSync(join(folder, "next.crt"), join(folder, "server.crt"));
    const half = await reload();
    assert.equal(half.code, 2);
    assert.match(half.stderr, /http\.tls\.key: names .*server\.key, which is not the key of the certificate/);
    copyFileSync(join(folder, "next.key"), join(folder, "server.key"));
    assert.deepEqual(await handshake({ rejectUnauthorized: false }), { name: "server", protocol: "TLSv1.3" });
    const whole = await reload();
    assert.equal(whole.code, 0, whole.stderr);
    assert.match(
      whole.stdout,
      /^~ http\.tls\.certificate: "?.*server\.crt \(SHA-256 [0-9a-f]{64}\)"? -> .*\n~ http\.tls\.key: "\(secret\)" -> "\(secret\)"\n$/,
    );
    assert.deepEqual(await handshake({ ca: ca(1) }), { name: "next", protocol: "TLSv1.3" });
    assert.equal((await initiator.command({ cdb: testUnitReady() })).status, 0);
    await initiator.logout();
  });
});

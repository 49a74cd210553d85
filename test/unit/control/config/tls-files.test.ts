import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { differences } from "../../../../control/config/difference.js";
import { loadConfiguration } from "../../../../control/config/load.js";
import { readTlsFiles } from "../../../../control/config/tls-files.js";
import { makeCertificate } from "../../../support/certificates.js";
import { skipWithout } from "../../../support/peers.js";
import { temporaryFolder } from "../../../support/undo.js";
import { yaml } from "./fixture.js";

const DAY_MS = 86_400_000;

describe("certificate and key", { skip: skipWithout("openssl") }, () => {
  const folder = temporaryFolder({ after });
  const files = makeCertificate(folder);
  const other = makeCertificate(folder, "other");
  const write = (name: string, text: string | Buffer, mode = 0o600): string => {
    const path = join(folder, name);
    writeFileSync(path, text, { mode });
    chmodSync(path, mode);
    return path;
  };
  /** The faults, and the warnings in brackets. */
  const found = (changed: Partial<typeof files>, nowMs?: number): string[] => {
    const { material, faults, warnings } = readTlsFiles({ ...files, ...changed }, nowMs);
    assert.equal(material === null, faults.length > 0);
    return [
      ...faults.map(({ key, message }) => `${key} ${message}`),
      ...warnings.map(({ key, message }) => `[${key} ${message}]`),
    ];
  };

  test("that belong together", () => {
    assert.deepEqual(found({}), []);
    const { material } = readTlsFiles(files);
    assert.equal(material?.certificate.file, files.certificate);
    assert.match(material?.certificate.fingerprint ?? "", /^[0-9a-f]{64}$/);
    assert.ok(!JSON.stringify(material).includes("PRIVATE"), "a key does not show");
  });

  test("that do not belong together", () => {
    assert.deepEqual(found({ key: other.key }), [
      `key names ${other.key}, which is not the key of the certificate in ${files.certificate}`,
    ]);
  });

  test("that are not there, or are something else: both are told", () => {
    const nothing = join(folder, "nothing");
    assert.deepEqual(found({ certificate: nothing, key: folder }), [
      `certificate names ${nothing}, which cannot be read: ENOENT: no such file or directory`,
      `key names ${folder}, which is not a regular file`,
    ]);
    const text = write("text", "no PEM\n");
    const broken = write("broken", readFileSync(files.certificate, "utf8").replace(/^MI.*$/m, "AAAA"));
    assert.deepEqual(found({ certificate: text, key: text }), [
      `certificate names ${text}, which holds no certificate in PEM`,
      `key names ${text}, which holds no private key in PEM`,
    ]);
    assert.deepEqual(found({ certificate: broken }), [
      `certificate names ${broken}, which holds no certificate in PEM`,
    ]);
    assert.deepEqual(found({ key: files.certificate }), [
      `key names ${files.certificate}, which holds no private key in PEM`,
      ...((statSync(files.certificate).mode & 0o077) === 0
        ? []
        : [`[key names ${files.certificate}, which others than its owner may open: chmod 600 it]`]),
    ]);
    const large = write("large", Buffer.alloc(2 ** 20 + 1));
    assert.deepEqual(found({ certificate: large }), [
      `certificate names ${large}, which holds 1048577 bytes: one in PEM has at most 1048576`,
    ]);
  });

  test("a key with a passphrase", () => {
    const encrypted = join(folder, "encrypted.key");
    spawnSync("openssl", ["pkey", "-in", files.key, "-aes128", "-passout", "pass:secret", "-out", encrypted]);
    chmodSync(encrypted, 0o600);
    assert.deepEqual(found({ key: encrypted }), [
      `key names ${encrypted}, which is encrypted, and nobody is there to be asked for the passphrase: take it off with openssl pkey`,
    ]);
  });

  test("a key that others may open, a certificate before and after its time: warnings", () => {
    const open = write("open.key", readFileSync(files.key), 0o640);
    assert.deepEqual(found({ key: open }), [`[key names ${open}, which others than its owner may open: chmod 600 it]`]);
    assert.match(
      found({}, Date.now() + 2 * DAY_MS).join(),
      /^\[certificate names .*, which has expired on \d{4}-\d\d-\d\d: clients will refuse it\]$/,
    );
    assert.match(
      found({}, Date.now() - DAY_MS).join(),
      /^\[certificate names .*, which is not valid before .*refuse it\]$/,
    );
  });

  test("in a configuration: faults have their lines, another certificate is a live change, none is a restart", () => {
    const load = (http: string) => {
      const result = loadConfiguration(
        write("ringlun.yaml", yaml({ more: `http: { listen: "127.0.0.1:9260", ${http} }` })),
      );
      return result.ok ? result : assert.fail(JSON.stringify(result.faults));
    };
    const first = load("tls: { certificate: server.crt, key: server.key }").configuration;
    const second = load("tls: { certificate: other.crt, key: other.key }").configuration;
    assert.deepEqual(
      differences(first, second).map(({ path, kind, effect }) => `${kind} ${path} (${effect})`),
      ["changed http.tls.certificate (live)", "changed http.tls.key (live)"],
    );
    assert.ok(!JSON.stringify(differences(first, second)).includes("BEGIN"));
    assert.deepEqual(
      differences(first, load("hosts: []").configuration).map(({ path, effect }) => `${path} (${effect})`),
      ["http.tls (restart)"],
    );
    const faulty = yaml({
      more: 'http: { listen: "127.0.0.1:9260", tls: { certificate: server.crt, key: other.key } }',
    });
    const result = loadConfiguration(write("ringlun.yaml", faulty));
    assert.deepEqual(result.ok ? [] : result.faults.map(({ path }) => path), ["http.tls.key"]);
  });

  test("tokens over plain HTTP that others reach: a warning", () => {
    const warnings = (listen: string, tls: string) => {
      const token = 'api: { tokens: [{ name: ci, secret: "a-token-that-nobody-guesses" }] }';
      const result = loadConfiguration(
        write("ringlun.yaml", yaml({ more: `http: { listen: "${listen}"${tls} }\n${token}` })),
      );
      assert.ok(result.ok);
      return result.warnings.map(({ path }) => path).filter((path) => path === "api.tokens");
    };
    assert.deepEqual(warnings("0.0.0.0:9260", ""), ["api.tokens"]);
    assert.deepEqual(warnings("127.0.0.1:9260", ""), []);
    assert.deepEqual(warnings("0.0.0.0:9260", ", tls: { certificate: server.crt, key: server.key }"), []);
  });
});

/** Certificates for tests, made when they are wanted: none is kept among the sources. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { join } from "node:path";

export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** A self-signed one for localhost and 127.0.0.1, valid for a day from now. `name`: of the files, in the folder. */
export function makeCertificate(folder: string, name = "server"): CertificateFiles {
  const files = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  const { status, stderr } = spawnSync(
    "openssl",
    [
      ...["req", "-x509", "-days", "1", "-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
      ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", files.key, "-out", files.certificate],
    ],
    { encoding: "utf8" },
  );
  assert.equal(status, 0, stderr);
  chmodSync(files.key, 0o600);
  return files;
}

/** The certificate and the private key for TLS: read, and judged before anything uses them. */
import { createHash, createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { readSecretFile } from "./named-files.js";
import { Secret } from "./secret.js";

/** With a chain of certificates there is room for hundreds. */
const FILE_LENGTH_MAX_BYTES = 2 ** 20;

export interface TlsMaterial {
  readonly certificate: CertificateChain;
  /** In PEM. */
  readonly key: Secret;
}

export interface CertificateChain {
  /** Absolute path of the file that it came from. */
  readonly file: string;
  /** SHA-256 of the text. */
  readonly fingerprint: string;
  /** In PEM. */
  readonly text: string;
}

/** `file` as the configuration has it: which of the two keys the finding is about. */
export interface TlsFinding {
  readonly key: "certificate" | "key";
  /** To be read after the path of the key. */
  readonly message: string;
}

export interface TlsFilesRead {
  /** Null after a fault. */
  readonly material: TlsMaterial | null;
  readonly faults: readonly TlsFinding[];
  readonly warnings: readonly TlsFinding[];
}

/** `files`: absolute paths. */
export function readTlsFiles(files: Readonly<Record<TlsFinding["key"], string>>, nowMs = Date.now()): TlsFilesRead {
  const faults: TlsFinding[] = [];
  const warnings: TlsFinding[] = [];
  const fault = (key: TlsFinding["key"], message: string) => {
    faults.push({ key, message: `names ${files[key]}, which ${message}` });
    return null;
  };
  const warn = (key: TlsFinding["key"], message: string) => {
    warnings.push({ key, message: `names ${files[key]}, which ${message}` });
  };
  const read = (key: TlsFinding["key"]) => {
    const file = readSecretFile(files[key], FILE_LENGTH_MAX_BYTES, "one in PEM");
    if (!file.ok) return fault(key, file.reason);
    return { text: Buffer.from(file.bytes).toString("latin1"), mode: file.mode };
  };

  const chain = read("certificate");
  const certificate = chain && (parseCertificate(chain.text) ?? fault("certificate", "holds no certificate in PEM"));
  const keyFile = read("key");
  const key = keyFile && parseKey(keyFile.text);
  if (key !== null && typeof key === "string") fault("key", key);
  if (keyFile !== null && (keyFile.mode & 0o077) !== 0) {
    warn("key", "others than its owner may open: chmod 600 it");
  }
  if (certificate !== null) {
    const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
    if (to < nowMs) warn("certificate", `has expired on ${date(to)}: clients will refuse it`);
    else if (from > nowMs) warn("certificate", `is not valid before ${date(from)}: clients will refuse it`);
  }
  if (chain === null || certificate === null || keyFile === null || key === null || typeof key === "string") {
    return { material: null, faults, warnings };
  }
  if (!certificate.checkPrivateKey(key)) fault("key", `is not the key of the certificate in ${files.certificate}`);
  else {
    try {
      createSecureContext({ cert: chain.text, key: keyFile.text });
    } catch (error) {
      fault("certificate", `cannot be used: ${(error as Error).message}`);
    }
  }
  if (faults.length > 0) return { material: null, faults, warnings };
  return {
    material: {
      certificate: { file: files.certificate, fingerprint: sha256(chain.text), text: chain.text },
      key: new Secret(Buffer.from(keyFile.text, "latin1")),
    },
    faults,
    warnings,
  };
}

function parseCertificate(text: string): X509Certificate | undefined {
  try {
    return text.includes("-----BEGIN") ? new X509Certificate(text) : undefined;
  } catch {
    return undefined;
  }
}

/** A text: what is wrong with it. */
function parseKey(text: string): KeyObject | string {
  try {
    return createPrivateKey(text);
  } catch {
    if (/-----BEGIN ENCRYPTED|^Proc-Type: .*ENCRYPTED/m.test(text)) {
      return "is encrypted, and nobody is there to be asked for the passphrase: take it off with openssl pkey";
    }
    return "holds no private key in PEM";
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

const date = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

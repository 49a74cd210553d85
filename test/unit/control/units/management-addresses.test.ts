import assert from "node:assert/strict";
import { test } from "node:test";
import { managementAddressesPage } from "../../../../control/units/management-addresses.js";

/** One descriptor: the target device's status service, at this URL of so many bytes with NULs. */
function page(url: string, paddedBytes: number): string {
  const text = Buffer.alloc(paddedBytes);
  text.write(url);
  const length = (value: number) => value.toString(16).padStart(4, "0");
  return `0085${length(4 + paddedBytes)}4300${length(paddedBytes)}${text.toString("hex")}`;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

test("the URL of the API, ended by NUL and padded to words", () => {
  // 35 characters, and 36, which need a word more for the NUL.
  assert.equal(
    hex(managementAddressesPage({ host: "127.0.0.1", port: 9260, scheme: "http" }, "192.0.2.1")),
    page("http://127.0.0.1:9260/api/v1/status", 36),
  );
  assert.equal(
    hex(managementAddressesPage({ host: "127.0.0.1", port: 19260, scheme: "http" }, "192.0.2.1")),
    page("http://127.0.0.1:19260/api/v1/status", 40),
  );
  assert.equal(
    hex(managementAddressesPage({ host: "::1", port: 9260, scheme: "http" }, "192.0.2.1")),
    page("http://[::1]:9260/api/v1/status", 32),
  );
});

test("with TLS it is an https URL", () => {
  const address = { host: "127.0.0.1", port: 9260, scheme: "https" } as const;
  assert.equal(hex(managementAddressesPage(address, "192.0.2.1")), page("https://127.0.0.1:9260/api/v1/status", 40));
});

test("HTTP on all addresses is told by the one that the initiator knows", () => {
  for (const host of ["0.0.0.0", "::"]) {
    assert.equal(
      hex(managementAddressesPage({ host, port: 9260, scheme: "http" }, "192.0.2.1")),
      page("http://192.0.2.1:9260/api/v1/status", 36),
    );
  }
});

test("without HTTP the page is empty", () => {
  assert.equal(hex(managementAddressesPage(undefined, "192.0.2.1")), "00850000");
});

import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { ROOT } from "./project.js";

interface Machine {
  readonly nodeVersion: string;
  readonly platform: string;
  readonly kernelRelease: string;
  readonly ioUringDisabled: number;
  readonly isIoUringPrivileged: boolean;
}

const { judgeMachine, readMachine } = (await import(pathToFileURL(join(ROOT, ".scripts/machine.mjs")).href)) as {
  judgeMachine(machine: Machine): string | undefined;
  readMachine(): Machine;
};

const SOUND: Machine = {
  nodeVersion: "20.11.0",
  platform: "linux",
  kernelRelease: "6.1.0-28-amd64",
  ioUringDisabled: 0,
  isIoUringPrivileged: false,
};

test("the machine that the tests run on is sound", () => {
  assert.equal(judgeMachine(readMachine()), undefined);
});

for (const change of [
  {},
  { nodeVersion: "22.0.0" },
  { nodeVersion: "24.11.1" },
  { kernelRelease: "6.10.2" },
  { kernelRelease: "10.0.0" },
  { ioUringDisabled: 1, isIoUringPrivileged: true },
]) {
  test(`sound: ${JSON.stringify(change)}`, () => {
    assert.equal(judgeMachine({ ...SOUND, ...change }), undefined);
  });
}

const FAULTS: [Partial<Machine>, RegExp][] = [
  [{ nodeVersion: "18.20.4" }, /^Node 20\.11 or newer is needed; this is 18\.20\.4$/],
  [{ nodeVersion: "20.9.0" }, /^Node 20\.11 or newer is needed; this is 20\.9\.0$/],
  [{ platform: "darwin" }, /^Linux is needed, for io_uring; this is darwin$/],
  [
    { kernelRelease: "5.15.0-91-generic" },
    /^Linux 6\.1 or newer is needed, for io_uring; this kernel is 5\.15\.0-91-gen/,
  ],
  [{ kernelRelease: "6.0.19" }, /this kernel is 6\.0\.19$/],
  [
    { ioUringDisabled: 2 },
    /^io_uring is forbidden to everybody .*= 2\).*as root: sysctl -w kernel\.io_uring_disabled=0$/,
  ],
  [{ ioUringDisabled: 2, isIoUringPrivileged: true }, /^io_uring is forbidden to everybody/],
  [
    { ioUringDisabled: 1 },
    /^io_uring is forbidden to this user .*= 1\).*as root: sysctl -w kernel\.io_uring_disabled=0$/,
  ],
];

for (const [change, message] of FAULTS) {
  test(`not sound: ${JSON.stringify(change)}`, () => {
    const fault = judgeMachine({ ...SOUND, ...change }) ?? "";
    assert.match(fault, message);
    assert.doesNotMatch(fault, /\n/);
  });
}

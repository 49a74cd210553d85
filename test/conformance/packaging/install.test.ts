/** What `npm pack` makes: installed into an empty prefix, without the registry, it is the whole program. */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";

const ROOT = fileURLToPath(new URL("../../../..", import.meta.url));
const CONFIGURATION = "portalGroups: [{ tag: 1, portals: [127.0.0.1:3260] }]\ntargets: []\n";

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

describe("the package", () => {
  const folder = mkdtempSync(join(tmpdir(), "ringlun-package-"));
  const prefix = join(folder, "prefix");
  const bin = join(prefix, "bin", "ringlun");
  const installed = join(prefix, "lib/node_modules/ringlun");
  const addons = join(installed, "node_modules/io-uring-node");
  let packed: Packed;

  before(() => {
    const npm = (...args: string[]): string => {
      const { status, stdout, stderr } = run("npm", ...args);
      assert.equal(status, 0, stderr);
      return stdout;
    };
    // What a script of the package prints comes before the JSON.
    const said = npm("pack", "--json", "--pack-destination", folder);
    [packed] = JSON.parse(said.slice(said.indexOf("[\n"))) as [Packed];
    const tarball = join(folder, packed.filename);
    npm("install", "--global", "--offline", "--no-audit", "--no-fund", "--prefix", prefix, tarball);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function run(program: string, ...args: string[]): SpawnSyncReturns<string> {
    return spawnSync(program, args, { cwd: ROOT, encoding: "utf8" });
  }

  async function serves(): Promise<void> {
    const target = await RunningTarget.start({ program: bin });
    try {
      const initiator = await RawInitiator.connect(target.port);
      await initiator.login({ targetName: TARGET_NAME });
      await initiator.logout();
      const status = run(bin, "status", "--json", "--config", target.configPath);
      assert.equal(status.status, 0, status.stderr);
      assert.equal((JSON.parse(status.stdout) as { ready: boolean }).ready, true);
    } finally {
      await target.stop();
    }
  }

  test("has what the program needs, and no sources, tests and benches of it", () => {
    const paths = packed.files.map(({ path }) => path);
    const own = paths.filter((path) => !path.startsWith("node_modules/"));
    const strange =
      /^(?!(README\.md|LICENSE|package\.json|docs\/[A-Z]+\.md|docs\/monitoring\/.+|packaging\/.+|dist\/ringlun\.8|dist\/(control|dataplane)\/.+\.(js|html|css|svg))$)/;
    assert.deepEqual(
      own.filter((path) => strange.test(path)),
      [],
    );
    assert.ok(paths.includes(`node_modules/io-uring-node/prebuilds/linux-${process.arch}/io_uring_node.node`));
    assert.deepEqual(
      paths.filter((path) => /^node_modules\/(typescript|fast-check|fast-crc32c|@types|@biomejs)\//.test(path)),
      [],
    );
    assert.ok(packed.size < 8 * 2 ** 20, `${packed.size} bytes`);
  });

  test("says its version, and checks a configuration", () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string };
    assert.equal(run(bin, "--version").stdout, `${version}\n`);
    const file = join(folder, "ringlun.yaml");
    writeFileSync(file, CONFIGURATION);
    assert.equal(run(bin, "check", file).status, 0);
    writeFileSync(file, "targets: 5\n");
    const { status, stderr } = run(bin, "check", file);
    assert.equal(status, 2);
    assert.match(stderr, /ringlun\.yaml:1:10: targets: /);
  });

  test("brings its manual page to where man looks", () => {
    assert.match(readFileSync(join(prefix, "share/man/man8/ringlun.8"), "utf8"), /^\.TH RINGLUN 8/);
  });

  test("serves with the addon that came with it", async () => {
    assert.ok(!existsSync(join(addons, "build")), "nothing was built");
    await serves();
  });

  test("without an addon for this machine it says how to build one", () => {
    rmSync(join(addons, "prebuilds"), { recursive: true });
    const { status, stderr } = spawnSync(bin, ["demo"], { cwd: folder, encoding: "utf8" });
    assert.equal(status, 1);
    assert.equal(
      stderr.trimEnd(),
      `ringlun: io-uring-node: its addon for linux-${process.arch} cannot be loaded. Build it: node ${addons}/build.mjs`,
    );
  });

  test("where an addon does not load, installing builds it, without the registry", async () => {
    const folderOfAddon = join(addons, "prebuilds", `linux-${process.arch}`);
    mkdirSync(folderOfAddon, { recursive: true });
    writeFileSync(join(folderOfAddon, "io_uring_node.node"), "for another C library");
    const manifest = JSON.parse(readFileSync(join(addons, "package.json"), "utf8")) as { scripts: { install: string } };
    // What npm runs; npm itself would go through everything else, too.
    const script = ["-c", manifest.scripts.install];
    const { status, stderr } = spawnSync("sh", script, { cwd: addons, encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.ok(existsSync(join(addons, "build/io_uring_node.node")));
    await serves();
  });
});

/** Prometheus itself: its linter finds nothing in the metrics, its rules do what they are meant to, and it scrapes a target. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { read10, write10 } from "../support/cdb.js";
import { ALERT_TESTS, ALERTS, alerts, dashboardQuestions, SCRAPING } from "../support/monitoring.js";
import { peerOutput } from "../support/peer-process.js";
import { findProgram, skipWithout } from "../support/peers.js";
import { RawInitiator } from "../support/raw-initiator.js";
import { repositoryPath, repositoryText } from "../support/repository.js";
import { freePorts, RunningTarget, TARGET_NAME } from "../support/target.js";

const skip = skipWithout("prometheus", "promtool");
const INITIATOR_NAME = "iqn.2026-11.x:é";
const TIMEOUT_MS = 60_000;
const BLOCK = 512;

let target: RunningTarget;

before(async () => {
  if (skip !== false) return;
  target = await RunningTarget.start();
  const initiator = await RawInitiator.connect(target.port);
  await initiator.login({ initiatorName: INITIATOR_NAME, targetName: TARGET_NAME });
  for (let i = 0; i < 7; i++) await initiator.good({ cdb: write10(8 * i, 8), write: Buffer.alloc(8 * BLOCK, i) });
  for (let i = 0; i < 5; i++) await initiator.good({ cdb: read10(0, 4), read: 4 * BLOCK });
  // One beyond the end: an error.
  await initiator.command({ cdb: read10(0x7fffffff, 1), read: BLOCK });
  await initiator.logout();
  initiator.destroy();
});

after(() => target?.stop());

test("promtool finds nothing to say of the metrics", { skip }, async () => {
  const response = await fetch(`http://127.0.0.1:${target.places.httpPort}/metrics`);
  const input = await response.text();
  const lint = (text: string) => {
    const { status, stdout, stderr } = spawnSync(findProgram("promtool")!, ["check", "metrics"], {
      input: text,
      encoding: "utf8",
    });
    return { status, said: `${stdout}${stderr}` };
  };
  assert.deepEqual(lint(input), { status: 0, said: "" });
  assert.notEqual(lint("# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n").status, 0);
});

test("promtool accepts the rules and the example, and the alerts do what their tests say", { skip }, async () => {
  await peerOutput("promtool", ["check", "rules", repositoryPath(ALERTS)]);
  await peerOutput("promtool", ["check", "config", repositoryPath(SCRAPING)]);
  await peerOutput("promtool", ["test", "rules", repositoryPath(ALERT_TESTS)]);
});

/** Prometheus with the example's configuration, but for places and times. */
class RunningPrometheus {
  readonly #child: ChildProcess;
  readonly #url: string;
  #output = "";

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#url = `http://127.0.0.1:${port}`;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    }
  }

  static async start(directory: string, scraped: string): Promise<RunningPrometheus> {
    const [port] = await freePorts(1);
    const config = parse(repositoryText(SCRAPING));
    config.global = { scrape_interval: "500ms", evaluation_interval: "500ms", scrape_timeout: "500ms" };
    config.rule_files = [repositoryPath(ALERTS)];
    config.scrape_configs[0].static_configs[0].targets = [scraped];
    const file = join(directory, "prometheus.yaml");
    await writeFile(file, stringify(config));
    const args = [
      `--config.file=${file}`,
      `--storage.tsdb.path=${directory}/data`,
      `--web.listen-address=127.0.0.1:${port}`,
    ];
    return new RunningPrometheus(spawn(findProgram("prometheus")!, args, { stdio: ["ignore", "pipe", "pipe"] }), port!);
  }

  /** Answers of its API; undefined while it does not listen. */
  async ask(path: string): Promise<{ status: string; error?: string; data: unknown } | undefined> {
    const response = await fetch(`${this.#url}/api/v1/${path}`).catch(() => undefined);
    return response?.headers.get("content-type")?.startsWith("application/json")
      ? ((await response.json()) as never)
      : undefined;
  }

  async query(expression: string): Promise<Sample[] | string | undefined> {
    const answer = await this.ask(`query?query=${encodeURIComponent(expression)}`);
    return answer?.status === "success" ? (answer.data as { result: Sample[] }).result : answer?.error;
  }

  /** Names, each with its health. */
  async rules(): Promise<string[]> {
    const { groups } = (await this.ask("rules"))!.data as { groups: { rules: { name: string; health: string }[] }[] };
    return groups.flatMap(({ rules }) => rules.map(({ name, health }) => `${name} ${health}`));
  }

  /** Until the expression has this value. */
  async until(expression: string, value: string): Promise<void> {
    const endMs = performance.now() + TIMEOUT_MS;
    for (;;) {
      const found = await this.query(expression);
      if (Array.isArray(found) && found[0]?.value[1] === value) return;
      assert(performance.now() < endMs, `${expression} is ${JSON.stringify(found)}\n${this.#output}`);
      await setTimeout(100);
    }
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    this.#child.kill("SIGTERM");
    await ended;
  }
}

interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

test("Prometheus scrapes a target, knows its rules, and answers what the dashboard asks", { skip }, async (context) => {
  const directory = await mkdtemp(join(tmpdir(), "ringlun-prometheus-"));
  const prometheus = await RunningPrometheus.start(directory, `127.0.0.1:${target.places.httpPort}`);
  context.after(async () => {
    await prometheus.stop();
    await rm(directory, { recursive: true, force: true });
  });
  await prometheus.until('ringlun_unit_commands_total{unit="disk", operation="write"}', "7");
  await prometheus.until(`sum(ringlun_target_bytes_total{target="${TARGET_NAME}"})`, String((7 * 8 + 5 * 4) * BLOCK));
  await prometheus.until('ringlun_unit_errors_total{reason="illegal request"}', "1");
  await prometheus.until('ringlun_unit_latency_seconds_count{operation="read"}', "5");
  const [initiator] = (await prometheus.query('ringlun_initiator_commands_total{operation="write"}')) as Sample[];
  assert.equal(initiator!.metric.initiator, INITIATOR_NAME);
  await prometheus.until('min_over_time(up{job="ringlun"}[2s])', "1");

  const answers = await Promise.all(
    dashboardQuestions("ringlun").map(async (asked) => ({ ...asked, found: await prometheus.query(asked.expression) })),
  );
  assert.deepEqual(
    answers.filter(({ found }) => !Array.isArray(found)),
    [],
  );
  // Before a rule is looked at for the first time its health is unknown.
  let rules: string[];
  do rules = await prometheus.rules();
  while (rules.some((rule) => rule.endsWith(" unknown")));
  assert.deepEqual(
    rules,
    alerts().map(({ alert }) => `${alert} ok`),
  );
});

/** What a metric is, whatever its values are at the moment: documentation, dashboard and alerts are tested against it. */
export interface MetricFamily {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  /** Without a histogram's `le`. */
  readonly labels: readonly string[];
}

/** The metrics, as a table in Markdown. */
export function metricTable(families: readonly MetricFamily[]): string {
  const rows = families.map(({ name, type, help, labels }) => {
    return `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help.replaceAll("|", "\\|")} |`;
  });
  return ["| Metric | Type | Labels | Meaning |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

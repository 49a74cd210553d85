/** What docs/monitoring/ asks of the metrics. */
import { parse } from "yaml";
import { repositoryText } from "./repository.js";

export const ALERTS = "docs/monitoring/alerts.yaml";
export const ALERT_TESTS = "docs/monitoring/alerts.test.yaml";
export const SCRAPING = "docs/monitoring/prometheus.yaml";
const DASHBOARD = "docs/monitoring/grafana-dashboard.json";

export interface Question {
  /** Alert or panel. */
  readonly where: string;
  readonly expression: string;
}

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export function alerts(): readonly Alert[] {
  const { groups } = parse(repositoryText(ALERTS)) as { groups: { rules: Alert[] }[] };
  return groups.flatMap(({ rules }) => rules);
}

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
}

/** Every expression of the dashboard, with values in the place of Grafana's variables. */
export function dashboardQuestions(job: string): Question[] {
  const { panels, annotations } = JSON.parse(repositoryText(DASHBOARD)) as Dashboard;
  const asked = [
    ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
    ...annotations.list.map(({ name, expr }) => [name, expr] as const),
  ];
  return asked.map(([where, expr]) => ({
    where,
    expression: expr
      .replaceAll("$__rate_interval", "1m")
      .replaceAll("$job", job)
      .replaceAll(/\$(?:instance|unit|initiator)\b/g, ".*"),
  }));
}

/** Metrics of which its lists of choices are made. */
export function dashboardVariables(): Question[] {
  const { templating } = JSON.parse(repositoryText(DASHBOARD)) as Dashboard;
  return templating.list.flatMap(({ name, definition }) =>
    definition === undefined ? [] : [{ where: `variable ${name}`, expression: definition }],
  );
}

/** Names of metrics in the expression, a histogram's as the family is called, each with the labels that it is asked by. */
export function metricsIn(expression: string): { readonly name: string; readonly labels: readonly string[] }[] {
  return [...expression.matchAll(/\b((?:ringlun|process|nodejs)_[a-z0-9_]+|up)\b(?:\{([^}]*)\})?/g)].map(
    ([, name, matchers]) => ({
      name: name!.replace(/_(?:bucket|sum|count)$/, ""),
      labels: [...(matchers ?? "").matchAll(/(\w+)\s*[=!]~?/g)].map(([, label]) => label!),
    }),
  );
}

/** What can be told of the page's look without a browser: contrast (WCAG 2.2, 1.4.3), and nothing from anywhere else. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const FOLDER = join(dirname(fileURLToPath(import.meta.url)), "../../../../../control/page");
const read = (name: string) => readFileSync(join(FOLDER, name), "utf8");
const CONTRAST_MIN = 4.5;

function colors(block: string): Map<string, string> {
  return new Map([...block.matchAll(/--([a-z]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name!, value!]));
}

function luminance(color: string): number {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

test("every colour of text can be read on every colour that is behind it, in both schemes", () => {
  const [light, dark] = [...read("page.css").matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => colors(block!));
  for (const scheme of [light!, dark!]) {
    assert.equal(scheme.size, 12);
    for (const text of ["text", "muted", "read", "write", "good", "warn", "bad", "other"]) {
      for (const behind of ["ground", "surface", "faint"]) {
        const ratio = contrast(scheme.get(text)!, scheme.get(behind)!);
        assert.ok(ratio >= CONTRAST_MIN, `${text} ${scheme.get(text)} on ${behind}: ${ratio.toFixed(2)}`);
      }
    }
  }
  assert.equal(contrast("#000000", "#ffffff"), 21);
});

test("the document has neither scripts nor styles in it, and refers to files of the page and paths of the server only", () => {
  const html = read("index.html");
  assert.doesNotMatch(html, /<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:|https?:|"\/\//);
  assert.doesNotMatch(read("page.css"), /@import|url\(/);
  const references = [...html.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, path]) => path!);
  assert.deepEqual(
    [...new Set(references)].filter((path) => !path.startsWith("page/")),
    ["metrics", "api/v1/status", "api/v1/openapi.json"],
  );
});

test("no script makes HTML of text", () => {
  for (const name of readdirSync(join(FOLDER, "browser")).filter((it) => it.endsWith(".ts"))) {
    assert.doesNotMatch(
      read(`browser/${name}`),
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|parseFromString/,
    );
  }
});

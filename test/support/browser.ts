/** Headless Chromium, and what a page does in it. */
import assert from "node:assert/strict";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { findProgram } from "./peers.js";

export async function launchBrowser(): Promise<Browser> {
  const executablePath = findProgram("chromium");
  assert(executablePath !== undefined, "chromium is not installed: run: npm run peers:install");
  // As root it has no sandbox; it visits nothing but what the test serves.
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** A page, with what it has got and what it complains of. */
export class VisitedPage {
  readonly page: Page;
  /** Errors in the console, and exceptions that nobody has caught. */
  readonly complaints: string[] = [];
  /** The last event of each name that came over an EventSource. */
  readonly events = new Map<string, unknown>();

  private constructor(page: Page) {
    this.page = page;
  }

  static async visit(browser: Browser, url: string, options: BrowserContextOptions): Promise<VisitedPage> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const visited = new VisitedPage(page);
    page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      visited.complaints.push(`${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => visited.complaints.push(String(error)));
    const session = await context.newCDPSession(page);
    await session.send("Network.enable");
    session.on("Network.eventSourceMessageReceived", ({ eventName, data }) => {
      visited.events.set(eventName, JSON.parse(data));
    });
    await page.goto(url);
    return visited;
  }

  /** Evaluated in the page. */
  evaluate<Result>(expression: string): Promise<Result> {
    return this.page.evaluate(expression) as Promise<Result>;
  }

  /** Texts of all elements that fit, as they are in the document. */
  texts(selector: string): Promise<string[]> {
    return this.page.locator(selector).allTextContents();
  }

  /** Waits until the look is as expected, which it may be for a moment only. Throws with the last one if it never is. */
  async until<Look>(look: () => Promise<Look>, isExpected: (look: Look) => boolean, timeoutMs = 30_000): Promise<Look> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const seen = await look();
      if (isExpected(seen)) return seen;
      assert(performance.now() < endMs, `never came: the page shows ${JSON.stringify(seen)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  close(): Promise<void> {
    return this.page.context().close();
  }
}

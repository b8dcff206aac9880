// Debian's Chromium with one page in it, and what that page complained of.
import { createRequire } from "node:module";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// Where tests/servers.sh puts what is npm's.
const servers = process.env.TEST_SERVERS ?? fileURLToPath(new URL("../../target/servers", import.meta.url));
export const modules = join(servers, "node_modules");
const { chromium } = requireInstalled("playwright-core");

function requireInstalled(name) {
  try {
    return createRequire(join(modules, "x"))(name);
  } catch {
    throw new Error(`${name} is not in ${modules}: run tests/servers.sh first`);
  }
}

// Without these Chromium asks for hosts that are none of the test's, and plays nothing before a click.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
];

export class Browser {
  static async launch({ viewport }) {
    const browser = new Browser();
    browser.folder = await mkdtemp(join(tmpdir(), "segcast-chromium-"));
    const executablePath = process.env.TEST_CHROMIUM ?? "/usr/bin/chromium";
    browser.context = await chromium.launchPersistentContext(browser.folder, {
      executablePath,
      headless: true,
      args: FLAGS,
      viewport,
      isMobile: viewport.width < 600,
      hasTouch: viewport.width < 600,
    });
    browser.page = browser.context.pages()[0] ?? (await browser.context.newPage());
    browser.listen();
    return browser;
  }

  // Everything the page prints as an error, throws, or fails to fetch; and what it fetched.
  listen() {
    this.complaints = [];
    this.fetched = [];
    this.page.on("console", (message) => {
      if (message.type() === "error") this.complaints.push(`console: ${message.text()}`);
    });
    this.page.on("pageerror", (error) => this.complaints.push(`page: ${error}`));
    this.page.on("response", (response) => {
      const { protocol, pathname } = new URL(response.url());
      if (!protocol.startsWith("http")) return;
      if (response.status() >= 400) this.complaints.push(`${response.status()}: ${pathname}`);
      this.fetched.push(pathname);
    });
    // A player that has enough, or changes its mind, gives up a request itself.
    this.page.on("requestfailed", (request) => {
      const why = request.failure()?.errorText ?? "failed";
      if (why !== "net::ERR_ABORTED") this.complaints.push(`${why}: ${new URL(request.url()).pathname}`);
    });
  }

  async close() {
    await this.context.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

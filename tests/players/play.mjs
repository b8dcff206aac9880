// Plays a playlist in a page of our own.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { modules } from "./chromium.mjs";

const FILES = {
  "/": [new URL("player.html", import.meta.url), "text/html"],
  "/player.js": [new URL("player.js", import.meta.url), "text/javascript"],
  "/hls.js": [join(modules, "hls.js/dist/hls.js"), "text/javascript"],
  "/shaka.js": [join(modules, "shaka-player/dist/shaka-player.hls.js"), "text/javascript"],
};

// How long a stream may take to begin, and a switch to show.
const PATIENCE_MS = 20_000;

// The page, on a port of its own: the stream is of another host, as it mostly is.
async function serve() {
  const server = createServer(async (request, response) => {
    const [file, type] = FILES[new URL(request.url, "http://x").pathname] ?? [];
    if (!file) return response.writeHead(404).end();
    response.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(await readFile(file));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { server, address: `http://127.0.0.1:${server.address().port}/` };
}

export async function play(browser, { mode, url, seconds, isSwitching, screenshot }) {
  const { page } = browser;
  const { server, address } = await serve();
  const errors = [];
  // What is waited for is what the report shows to be missing: that it did not come is no reason to give up.
  const wait = (what, timeout) =>
    page.waitForFunction(what, undefined, { timeout, polling: 50 }).catch(() => errors.push(`not seen: ${what}`));
  await page.goto(address);
  await page.evaluate(([mode, url, isLow]) => start(mode, url, isLow), [mode, url, isSwitching]);
  await wait("watch.hasBegun || watch.isOver", PATIENCE_MS);
  const half = isSwitching ? seconds / 2 : seconds;
  await wait(`watch.isOver || watch.elapsed() >= ${half}`, half * 1000 + PATIENCE_MS);
  if (isSwitching) {
    await page.evaluate(() => adapter.up());
    await wait("watch.isOver || watch.sizes.length > 1", PATIENCE_MS);
    await wait(`watch.isOver || watch.elapsed() >= ${seconds}`, half * 1000 + PATIENCE_MS);
  }
  if (screenshot) await page.locator("video").screenshot({ path: screenshot });
  const report = await page.evaluate(() => report());
  report.errors.push(...errors, ...browser.complaints);
  report.fetched = browser.fetched.filter((path) => !(path in FILES));
  server.close();
  server.closeAllConnections();
  return report;
}

// Opens a page that plays a stream by itself, and says what a person would find there: with eyes, with a keyboard,
// with a screen reader.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { modules } from "./chromium.mjs";

// How long the stream may take to begin.
const PATIENCE_MS = 20_000;
// More stops than this with the Tab key have no end.
const MANY_STOPS = 60;

const hasMoved = () => document.querySelector("video")?.currentTime > 0 && !document.querySelector("video").paused;

export async function look(browser, { url, seconds, screenshot, isWithoutNative }) {
  const { page } = browser;
  const errors = [];
  if (isWithoutNative) await page.addInitScript(hideNative);
  const began = performance.now();
  await page.goto(url);
  const moved = page.waitForFunction(hasMoved, undefined, { timeout: PATIENCE_MS, polling: 50 });
  const startup = await moved.then(
    () => (performance.now() - began) / 1000,
    () => (errors.push("nothing plays"), null),
  );
  const before = await page.evaluate(state);
  await page.waitForTimeout(seconds * 1000);
  const after = await page.evaluate(state);
  if (screenshot) await page.screenshot({ path: screenshot, fullPage: true });
  const seen = {
    startup_s: startup,
    played_s: after.position - before.position,
    width: after.width,
    height: after.height,
    dropped: after.dropped,
    title: await page.title(),
    facts: await page.evaluate(facts),
    plots: await page.evaluate(plots),
    overflow_px: await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth),
    outline: await page.locator("body").ariaSnapshot(),
    violations: await violations(page),
    stops: await stops(page),
    fetched: browser.fetched,
  };
  return { ...seen, errors: [...errors, ...browser.complaints] };
}

function hideNative() {
  const own = HTMLMediaElement.prototype.canPlayType;
  HTMLMediaElement.prototype.canPlayType = function (type) {
    return /mpegurl/i.test(type) ? "" : own.call(this, type);
  };
}

function state() {
  const video = document.querySelector("video");
  if (!video) return { position: 0, width: 0, height: 0, dropped: 0 };
  const dropped = video.getVideoPlaybackQuality().droppedVideoFrames;
  return { position: video.currentTime, width: video.videoWidth, height: video.videoHeight, dropped };
}

// Each term on the page and what stands beside it, by the nearest heading above.
function facts() {
  const all = [];
  let heading = "";
  for (const element of document.querySelectorAll("h1, h2, h3, h4, dt")) {
    if (element.checkVisibility?.() === false) continue;
    if (element.tagName !== "DT") heading = element.textContent.trim();
    else all.push([heading, element.textContent.trim(), element.nextElementSibling?.textContent.trim() ?? ""]);
  }
  return all;
}

// The visible drawings: what they are called, and how many points their longest line has.
function plots() {
  const visible = [...document.querySelectorAll("svg")].filter((svg) => svg.checkVisibility());
  return visible.map((svg) => {
    const lines = [...svg.querySelectorAll("path, polyline")];
    const points = lines.map((line) => (line.getAttribute("d") ?? line.getAttribute("points") ?? "").split(/[ML]/).length - 1);
    return { name: svg.querySelector("title")?.textContent ?? svg.getAttribute("aria-label") ?? "", points: Math.max(0, ...points) };
  });
}

// What axe finds against WCAG 2.2 AA and its own best practices, in the light and in the dark.
async function violations(page) {
  const axe = await readFile(join(modules, "axe-core/axe.min.js"), "utf8");
  const found = [];
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    for (const { id, help, nodes } of violations) {
      found.push(`${colorScheme}: ${id}: ${help}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`);
    }
  }
  await page.emulateMedia({ colorScheme: null });
  return found;
}

// Where the Tab key goes, from the top until it leaves the page, and whether one sees it there.
async function stops(page) {
  await page.evaluate(() => {
    document.activeElement?.blur();
    window.scrollTo(0, 0);
  });
  const all = [];
  while (all.length < MANY_STOPS) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const style = getComputedStyle(element);
      const name = element.getAttribute("aria-label") || element.textContent.trim() || element.id;
      const isSeen = style.outlineStyle !== "none" && element.getBoundingClientRect().width > 1;
      return { element: element.tagName.toLowerCase(), name, is_seen: isSeen };
    });
    const last = all.at(-1);
    if (!stop) break;
    // The controls of a video are stops of their own, all in the one element.
    if (last?.element === "video" && stop.element === "video") continue;
    // Past the last one it begins anew.
    if (all.length > 1 && stop.name === all[0].name && stop.element === all[0].element) break;
    all.push(stop);
  }
  return all;
}

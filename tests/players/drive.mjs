// Plays a stream in Chromium, or opens a channel's own page, and prints what was seen as one line of JSON:
//
//   node tests/players/drive.mjs MODE URL [--seconds N] [--switch] [--screenshot FILE]
//
// MODE is native, hls, hls-ll, shaka or shaka-ll for a playlist (what is played by: player.js), or page for a page
// (what is looked at: preview.mjs). What goes wrong is in the report's `errors`, and the exit code is 0; it is 1, with
// the reason on standard error, only if there is nothing to report. It ends by itself in any case.
import { parseArgs } from "node:util";
import { Browser } from "./chromium.mjs";
import { play } from "./play.mjs";
import { look } from "./preview.mjs";

// What starting Chromium, opening the stream and closing may take on top of what is watched.
const SLACK_S = 45;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "10" },
    switch: { type: "boolean", default: false },
    screenshot: { type: "string" },
    width: { type: "string", default: "1280" },
    height: { type: "string", default: "800" },
    // For a page: the browser says it has no HLS of its own.
    "without-native": { type: "boolean", default: false },
  },
});
const [mode, url] = positionals;
const options = {
  mode,
  url,
  seconds: Number(values.seconds),
  isSwitching: values.switch,
  screenshot: values.screenshot,
  viewport: { width: Number(values.width), height: Number(values.height) },
  isWithoutNative: values["without-native"],
};

setTimeout(() => {
  console.error(`no report after ${options.seconds + SLACK_S} s`);
  process.exit(1);
}, (options.seconds + SLACK_S) * 1000).unref();

const browser = await Browser.launch(options);
try {
  const report = mode === "page" ? await look(browser, options) : await play(browser, options);
  console.log(JSON.stringify(report));
} finally {
  await browser.close();
}

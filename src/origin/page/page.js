"use strict";

// The page of segcast's origin: plays the stream and shows what /status says.

const POLL_MS = 1000;
// Without the login that may stand in the page's own address: requests must not name one, and browsers give it.
const HERE = location.origin + location.pathname;
const urlOf = (path) => new URL(path, HERE).href;
const at = (id) => document.getElementById(id);
const video = at("video");
let hls = null;
let isStarted = false;

const number = (value, digits = 0) =>
  value.toLocaleString(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const rate = (bps) => (bps == null ? "–" : bps >= 1e6 ? `${number(bps / 1e6, 2)} Mbit/s` : `${number(bps / 1e3)} kbit/s`);
const size = (bytes) => (bytes >= 1e6 ? `${number(bytes / 1e6, 1)} MB` : `${number(bytes / 1e3)} kB`);
const seconds = (value, digits = 2) => (value == null ? "–" : `${number(value, digits)} s`);
const brief = (value) => (value == null || value >= 1 ? seconds(value) : `${number(value * 1000)} ms`);

function span(total) {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [length, unit] of parts) {
    if (total >= length) return `${Math.floor(total / length)} ${unit}`;
  }
  return `${Math.floor(total)} s`;
}

// Writes only what has changed: a screen reader hears what is news, and no more.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function badge(element, state) {
  say(element, state);
  if (element.dataset.state !== state) element.dataset.state = state;
}

function notice(text) {
  say(at("notice"), text);
  at("notice").hidden = !text;
}

// ---- playing

function loadScript(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${url} cannot be loaded`));
    document.head.append(script);
  });
}

const hasNative = () => video.canPlayType("application/vnd.apple.mpegurl") !== "";
const hasMediaSource = () => "MediaSource" in window || "ManagedMediaSource" in window;

// The browser's own HLS where it has it; a player's script otherwise, and for low latency, which few browsers have.
async function start(status) {
  isStarted = true;
  const wantsScript = status.player && hasMediaSource() && (status.low_latency || !hasNative());
  if (wantsScript) {
    try {
      await loadScript(status.player);
      if (window.Hls && window.Hls.isSupported()) return startScript(status);
    } catch (error) {
      if (!hasNative()) notice(`The player is missing: ${error.message}.`);
    }
  }
  if (hasNative()) return startNative(status);
  if (!wantsScript) notice("This browser cannot play HLS by itself, and no player script is configured.");
}

function startScript(status) {
  hls = new window.Hls({ lowLatencyMode: status.low_latency, backBufferLength: 30 });
  hls.on(window.Hls.Events.ERROR, (_, data) => {
    if (!data.fatal) return;
    notice(`Playing stopped (${data.details}); trying again.`);
    if (data.type === window.Hls.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
    else again(status);
  });
  hls.on(window.Hls.Events.FRAG_BUFFERED, () => notice(""));
  hls.loadSource(urlOf(status.entry));
  hls.attachMedia(video);
  say(at("player"), `hls.js ${window.Hls.version}${status.low_latency ? ", low latency" : ""}`);
  play();
}

function startNative(status) {
  say(at("player"), "the browser’s own");
  video.src = urlOf(status.entry);
  play();
  if (!isLooking) look(status);
}

function again(status) {
  hls.destroy();
  hls = null;
  setTimeout(() => startScript(status), 2000);
}

function play() {
  const started = video.play();
  if (started) started.catch(() => notice("Press play to begin."));
}

video.addEventListener("playing", () => notice(""));
video.addEventListener("error", () => {
  if (hls) return;
  notice("Playing stopped; trying again.");
  setTimeout(() => { isStarted = false; }, 2000);
});

function edge() {
  if (hls && hls.liveSyncPosition) return hls.liveSyncPosition;
  return video.seekable.length ? video.seekable.end(video.seekable.length - 1) : null;
}

at("live").addEventListener("click", () => {
  const position = edge();
  if (position !== null) video.currentTime = position;
  play();
});

// When the picture on screen was taken: EXT-X-PROGRAM-DATE-TIME.
function takenAt() {
  if (hls && hls.playingDate) return hls.playingDate.getTime();
  if (typeof video.getStartDate === "function") {
    const start = video.getStartDate().getTime();
    if (Number.isFinite(start)) return start + video.currentTime * 1000;
  }
  return null;
}

// Chromium's own player tells no date: it is estimated from the playlist's end, which is looked at every few seconds.
const LOOK_MS = 3000;
let isLooking = false;
let begunAt = null;

async function playlistAt(url) {
  const answer = await fetch(url, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.text();
}

// The date at the end of the first variant's whole segments; all renditions are cut alike.
async function endDate(entry) {
  let text = await playlistAt(urlOf(entry));
  const variant = text.match(/^#EXT-X-STREAM-INF:.*\s+([^#\s].*)$/m);
  if (variant) text = await playlistAt(new URL(variant[1], urlOf(entry)));
  let date = NaN;
  for (const [, name, value] of text.matchAll(/^#(EXT-X-PROGRAM-DATE-TIME|EXTINF):([^,\s]+)/gm)) {
    if (name === "EXTINF") date += parseFloat(value) * 1000;
    else date = Date.parse(value);
  }
  return date;
}

function lastOf(ranges) {
  const end = ranges.length ? ranges.end(ranges.length - 1) : NaN;
  return Number.isFinite(end) ? end : null;
}

async function look(status) {
  isLooking = true;
  setTimeout(() => look(status), begunAt === null ? LOOK_MS / 6 : LOOK_MS);
  if (hls || document.hidden || video.readyState === 0 || takenAt() !== null) return;
  try {
    const date = await endDate(status.entry);
    const end = lastOf(video.seekable) || lastOf(video.buffered);
    // What the player knows of lags behind the playlist: the earliest of all is the nearest.
    const begun = date - end * 1000;
    if (end && Number.isFinite(begun)) begunAt = begunAt === null ? begun : Math.min(begunAt, begun);
  } catch {
    // It is looked at again.
  }
}

video.addEventListener("emptied", () => { begunAt = null; });

// Whether nothing more will come of what plays: there is no live edge.
function isWhole() {
  const level = hls && hls.levels[hls.currentLevel];
  if (hls) return Boolean(level && level.details && !level.details.live);
  return video.readyState > 0 && Number.isFinite(video.duration);
}

function latency() {
  const taken = takenAt();
  if (video.readyState === 0 || (taken === null && begunAt === null)) return "–";
  if (taken !== null) return seconds((Date.now() - taken) / 1000, 1);
  return `about ${seconds(Math.max(0, Date.now() - begunAt - video.currentTime * 1000) / 1000, 1)}`;
}

function showPlaying() {
  at("live").hidden = at("latency").parentElement.hidden = isWhole();
  say(at("latency"), latency());
  const level = hls && hls.levels[hls.currentLevel];
  const name = level ? `${rate(level.bitrate)}, ` : "";
  say(at("variant"), video.videoWidth ? `${name}${video.videoWidth} × ${video.videoHeight}` : name || "–");
  let ahead = null;
  for (let n = 0; n < video.buffered.length; n++) {
    const [from, to] = [video.buffered.start(n), video.buffered.end(n)];
    if (from <= video.currentTime + 0.1 && video.currentTime <= to) ahead = to - video.currentTime;
  }
  say(at("buffer"), seconds(ahead, 1));
}

// ---- how it is doing

function plot(card, title, values) {
  const figure = card.querySelector("figure");
  figure.hidden = values.length < 2;
  if (figure.hidden) return;
  const top = Math.max(...values) * 1.1 || 1;
  const step = 240 / (values.length - 1);
  const points = values.map((value, n) => `${(n * step).toFixed(1)} ${(48 - (value / top) * 46).toFixed(1)}`);
  const line = `M${points.join("L")}`;
  card.querySelector(".line").setAttribute("d", line);
  card.querySelector(".area").setAttribute("d", `${line}L240 48L0 48Z`);
  const [least, most, last] = [Math.min(...values), Math.max(...values), values[values.length - 1]];
  const text = `${title}: latest ${brief(last)}, from ${brief(least)} to ${brief(most)}`;
  say(card.querySelector("svg title"), text);
  say(figure.querySelector("figcaption"), text);
}

function facts(card, pairs) {
  const list = card.querySelector("dl");
  for (const [name, value] of pairs) {
    let pair = [...list.children].find((one) => one.dataset.name === name);
    if (!pair) {
      pair = document.createElement("div");
      pair.dataset.name = name;
      pair.append(document.createElement("dt"), document.createElement("dd"));
      pair.firstChild.textContent = name;
      list.append(pair);
    }
    say(pair.lastChild, value);
  }
}

function cards(id, all, fill) {
  const list = at(id);
  at(`${id}-title`).hidden = list.hidden = all.length === 0;
  while (list.children.length > all.length) list.lastChild.remove();
  all.forEach((one, n) => {
    if (!list.children[n]) list.append(at("card").content.cloneNode(true));
    const card = list.children[n];
    say(card.querySelector("h4"), one.name || "–");
    badge(card.querySelector(".badge"), one.state);
    const error = card.querySelector(".error");
    say(error, one.last_error ? `Last error: ${one.last_error}` : "");
    error.hidden = !one.last_error;
    fill(card, one);
  });
}

const sent = new Map();

// Bits per second from one look to the next.
function measured(key, bytes, now) {
  const before = sent.get(key) || { bytes, now, rate: null };
  const elapsed = (now - before.now) / 1000;
  if (elapsed < 10 && sent.has(key)) return before.rate;
  const next = elapsed > 0 ? ((bytes - before.bytes) * 8) / elapsed : null;
  sent.set(key, { bytes, now, rate: next });
  return next;
}

function show(status) {
  document.title = `${status.name || "segcast"} – segcast`;
  say(at("name"), status.name || "segcast");
  badge(at("state"), status.ready || status.state !== "running" ? status.state : "starting");
  at("entry").href = status.entry;
  say(at("viewers"), number(status.viewers));
  say(at("connections"), number(status.connections));
  say(at("memory"), size(status.object_bytes));
  say(at("uptime"), span(status.uptime_seconds));
  cards("renditions", status.renditions, (card, one) => {
    const pairs = [["Bitrate", rate(one.bitrate_bps)], ["Segments", number(one.segments)], ["Bytes", size(one.bytes)]];
    if (one.encoder_speed != null) pairs.push(["Encoder speed", `${number(one.encoder_speed, 2)} ×`]);
    if (one.encoder_restarts > 0) pairs.push(["Encoder restarts", number(one.encoder_restarts)]);
    if (one.video_restarts > 0) pairs.push(["Restarts without video", number(one.video_restarts)]);
    facts(card, pairs);
    plot(card, "Segment duration", one.segment_seconds);
  });
  const now = Date.now();
  cards("destinations", status.destinations, (card, one) => {
    facts(card, [
      ["Bitrate", rate(measured(one.name, one.bytes, now))],
      ["Shown after", brief(one.latency_median_seconds)],
      ["Waiting", `${number(one.queued_segments)} (${size(one.queued_bytes)})`],
      ["Retries", number(one.retries)],
      ["Lost", number(one.lost)],
    ]);
    plot(card, "Publish latency", one.latency_seconds);
  });
}

async function poll() {
  try {
    const answer = await fetch(urlOf("status"), { cache: "no-store" });
    if (!answer.ok) throw new Error(`${answer.status}`);
    const status = await answer.json();
    show(status);
    if (status.ready && !isStarted) start(status);
    if (!status.ready) notice("The stream is about to begin.");
  } catch {
    badge(at("state"), "unreachable");
  }
  setTimeout(poll, document.hidden ? 5 * POLL_MS : POLL_MS);
}

setInterval(showPlaying, 250);
poll();

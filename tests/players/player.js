// One stream in this page's video element, and a watch on what comes of it.
"use strict";

// Falling behind the clock on the wall by less than this is not seen.
const STILL_MS = 250;
const LOOK_MS = 50;
// Pictures that are so far apart have others missing between them; a busy machine leaves out a few.
const HOLE_S = 0.5;
// So long a player may look for its place.
const SETTLING_S = 1;

const video = document.getElementById("video");
let adapter;
let watch;

function load(script) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = script;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`${script} cannot be loaded`));
    document.head.append(element);
  });
}

// Each adapter says what it is, when the picture shown was taken (in ms, or null), and can go to the best variant.
async function native(url) {
  video.src = url;
  return { name: "native", takenAt: () => null, up: () => watch.error("there is no way to choose a variant") };
}

async function hls(url, isLowLatency, isLow) {
  await load("hls.js");
  // Its first guess, of half a megabit a second, leads away from the best variant and back.
  const hls = new Hls({ lowLatencyMode: isLowLatency, abrEwmaDefaultEstimate: 10e6 });
  hls.on(Hls.Events.ERROR, (_, { type, details, fatal, error, reason }) => {
    watch.error(`${fatal ? "fatal " : ""}${type} ${details}: ${error?.message ?? reason ?? ""}`);
    watch.isOver ||= fatal;
  });
  hls.on(Hls.Events.FRAG_CHANGED, (_, { frag }) => watch.timeline(frag.cc));
  hls.on(Hls.Events.MANIFEST_PARSED, (_, { levels }) => {
    if (isLow) hls.nextLevel = levels.length > 1 ? 0 : -1;
    // With low latency it goes to another variant at parts that are not independent, and leaves out what it cannot show.
    else if (isLowLatency) hls.loadLevel = levels.length - 1;
  });
  hls.attachMedia(video);
  hls.loadSource(url);
  const takenAt = () => hls.playingDate?.getTime() ?? null;
  // Levels stand in the order of their bitrates.
  return { name: `hls.js ${Hls.version}`, takenAt, up: () => { hls.nextLevel = hls.levels.length - 1; } };
}

async function shaka_(url, isLowLatency, isLow) {
  await load("shaka.js");
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  player.addEventListener("error", ({ detail }) => {
    watch.error(`shaka ${detail.code}: ${detail.message}`);
    watch.isOver ||= detail.severity === shaka.util.Error.Severity.CRITICAL;
  });
  await player.attach(video);
  player.configure({
    // Parts of HLS have no start times that it could trust before it has them.
    manifest: { hls: { sequenceMode: isLowLatency } },
    streaming: { lowLatencyMode: isLowLatency },
    // With low latency it goes to another variant in the middle of a segment, at parts that are not independent, and shows
    // nothing new until the next segment.
    abr: { enabled: !isLow && !isLowLatency },
  });
  // What is buffered of another variant is played first, or thrown away.
  const choose = (place, isAtOnce) => {
    const tracks = player.getVariantTracks().toSorted((one, other) => one.bandwidth - other.bandwidth);
    player.selectVariantTrack(tracks.at(place), isAtOnce);
  };
  player.load(url).then(
    () => isLow && choose(0, true),
    (error) => { watch.error(`shaka ${error.code}: ${error.message}`); watch.isOver = true; },
  );
  // Without EXT-X-PROGRAM-DATE-TIME its dates begin in 1970.
  const takenAt = () => {
    const time = player.getPlayheadTimeAsDate()?.getTime() ?? 0;
    return time > Date.UTC(2000) ? time : null;
  };
  return { name: `Shaka Player ${shaka.Player.version}`, takenAt, up: () => choose(-1, false) };
}

class Watch {
  constructor() {
    this.began = performance.now();
    this.hasBegun = false;
    this.isOver = false;
    this.errors = [];
    this.sizes = [];
    this.stalls = [];
    this.latencies = [];
    this.timelines = [];
    this.waits = 0;
    this.jumps = 0;
    video.addEventListener("playing", () => { this.from ??= video.currentTime; });
    video.addEventListener("waiting", () => { if (this.hasBegun) this.waits += 1; });
    video.addEventListener("resize", () => this.sizes.push(`${video.videoWidth}x${video.videoHeight}`));
    video.addEventListener("ended", () => { this.isOver = true; });
    video.addEventListener("error", () => {
      this.error(`video ${video.error.code}: ${video.error.message}`);
      this.isOver = true;
    });
    setInterval(() => this.look(), LOOK_MS);
    this.holes = [];
    video.requestVideoFrameCallback((_, { mediaTime }) => this.show(mediaTime));
  }

  // A picture is on the screen.
  show(time) {
    if (this.elapsed() > SETTLING_S && time - this.shown > HOLE_S) this.holes.push([this.shown, time]);
    this.shown = time;
    video.requestVideoFrameCallback((_, { mediaTime }) => this.show(mediaTime));
  }

  error(text) {
    this.errors.push(`${((performance.now() - this.began) / 1000).toFixed(1)} s: ${text}`);
  }

  timeline(number) {
    if (!this.timelines.includes(number)) this.timelines.push(number);
  }

  // Some say that they play a good while before a picture moves, and some seek first.
  begin() {
    const step = video.currentTime - this.from;
    if (step > 1 || step < 0) this.from = video.currentTime;
    if (!(step > 0 && step < 1)) return;
    this.hasBegun = true;
    this.begun = this.moved = performance.now();
    this.last = video.currentTime;
    this.played = 0;
  }

  // Seconds since the first picture moved.
  elapsed() {
    return this.hasBegun ? (performance.now() - this.begun) / 1000 : 0;
  }

  // What was played is what the clock went on by itself: a seek does not count.
  look() {
    if (this.isOver) return;
    if (!this.hasBegun) return this.begin();
    const now = performance.now();
    const step = video.currentTime - this.last;
    this.last = video.currentTime;
    if (step !== 0) {
      if (step > 0 && step < 1) this.played += step;
      else this.jumps += 1;
      // A page that had no time to look has seen nothing stand still.
      const still = now - this.moved - Math.max(0, step) * 1000;
      if (still > STILL_MS) this.stalls.push(still / 1000);
      this.moved = now;
    }
    const taken = adapter.takenAt();
    if (taken !== null) this.latencies.push((Date.now() - taken) / 1000);
  }

  // The stalls with the one that lasts still.
  allStalls() {
    const still = performance.now() - this.moved;
    return this.hasBegun && !this.isOver && still > STILL_MS ? [...this.stalls, still / 1000] : this.stalls;
  }
}

// `isLow`: with the worst variant, and with no other until told.
async function start(mode, url, isLow) {
  watch = new Watch();
  const isLowLatency = mode.endsWith("-ll");
  const attach = { native, hls, shaka: shaka_ }[mode.replace("-ll", "")];
  if (!attach) throw new Error(`no player is called ${mode}`);
  adapter = await attach(url, isLowLatency, isLow);
  video.play().catch((error) => watch.error(`play: ${error.message}`));
}

function median(values) {
  return values.length ? values.toSorted((one, other) => one - other)[values.length >> 1] : null;
}

function report() {
  const quality = video.getVideoPlaybackQuality();
  const stalls = watch.allStalls();
  const latencies = watch.latencies.slice((SETTLING_S * 1000) / LOOK_MS);
  return {
    player: adapter.name,
    startup_s: watch.hasBegun ? (watch.begun - watch.began) / 1000 : null,
    elapsed_s: watch.elapsed(),
    played_s: watch.played ?? 0,
    position_s: video.currentTime,
    is_ended: video.ended,
    ready_state: video.readyState,
    stalls: stalls.length,
    stalled_s: stalls.reduce((sum, one) => sum + one, 0),
    waits: watch.waits,
    jumps: watch.jumps,
    holes: watch.holes,
    latency_s: latencies.length
      ? { median: median(latencies), max: Math.max(...latencies), last: latencies.at(-1) }
      : null,
    sizes: watch.sizes,
    timelines: watch.timelines,
    decoded: quality.totalVideoFrames,
    dropped: quality.droppedVideoFrames,
    sound_bytes: video.webkitAudioDecodedByteCount ?? null,
    errors: watch.errors,
  };
}

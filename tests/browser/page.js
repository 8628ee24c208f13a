// What a client does: sign in, ask for a stream, play it with hls.js. play.mjs calls these functions.

const video = document.getElementById("video");
let hls;
let fatal;

const tokens = new Map(); // of accounts that have signed in

/** The signed address of a film's master playlist, by GraphQL. */
async function address(api, { email, password, title }) {
  const ask = async (query, variables, token) => {
    const headers = { "content-type": "application/json" };
    if (token) headers.authorization = `Bearer ${token}`;
    const body = JSON.stringify({ query, variables });
    const answer = await (await fetch(`${api}/graphql`, { method: "POST", headers, body })).json();
    if (answer.errors) throw new Error(JSON.stringify(answer.errors));
    return answer.data;
  };
  if (!tokens.has(email)) {
    const { login } = await ask(
      `mutation ($email: EmailAddress!, $password: String!) {
        login(input: {email: $email, password: $password}) { tokens { accessToken } errors { code } } }`,
      { email, password },
    );
    tokens.set(email, login.tokens.accessToken);
  }
  const { movie } = await ask(
    `query ($id: ID!) { movie(by: {id: $id}) { hls { masterPlaylistUrl } } }`,
    { id: title },
    tokens.get(email),
  );
  return new URL(movie.hls.masterPlaylistUrl, api).href;
}

/** Plays an address; resolves with how long the first picture took, in ms, and the levels there are. */
async function play(url) {
  hls?.destroy();
  fatal = undefined;
  hls = new Hls({ startLevel: -1 });
  hls.on(Hls.Events.ERROR, (_event, data) => {
    if (data.fatal) fatal = `${data.type} ${data.details}`;
  });
  const begun = performance.now();
  const shown = new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  hls.attachMedia(video);
  hls.loadSource(url);
  await video.play();
  await orFatal(shown);
  return {
    first_frame_ms: performance.now() - begun,
    levels: hls.levels.map((level) => level.height),
    subtitles: hls.subtitleTracks.map((track) => track.lang),
  };
}

/** Plays an address to its end, once for each language of sound; resolves with what there was. */
async function playToTheEnd(url) {
  await play(url);
  const ends = [await end()];
  for (const track of hls.audioTracks.keys()) {
    if (track === hls.audioTrack) continue;
    hls.audioTrack = track;
    video.currentTime = 0;
    await holds(() => !video.ended && !video.seeking);
    ends.push(await end());
  }
  return {
    ends,
    duration: video.duration,
    levels: hls.levels.map((level) => [level.width, level.height]),
    audio: hls.audioTracks.map((track) => [track.lang ?? null, track.name, track.default]),
    subtitles: await allCues(),
  };
}

/** Where the film stands when it has ended; four times as fast, for the test's sake. */
async function end() {
  video.playbackRate = 4;
  await video.play();
  await holds(() => video.ended);
  return video.currentTime;
}

/** Of each language: start, end and text of its cues, as a viewer reads it. */
async function allCues() {
  const languages = {};
  hls.subtitleDisplay = true;
  for (const [number, { lang }] of hls.subtitleTracks.entries()) {
    hls.subtitleTrack = number;
    const shown = () => [...video.textTracks].find((one) => one.mode === "showing" && one.language === lang);
    await holds(() => shown()?.cues?.length > 0);
    languages[lang] = [...shown().cues].map((cue) => [cue.startTime, cue.endTime, cue.getCueAsHTML().textContent]);
  }
  return languages;
}

/** Changes to a level and waits until its own pictures are shown; answers with their height. */
async function see(level) {
  const switched = new Promise((resolve) => {
    hls.on(Hls.Events.LEVEL_SWITCHED, (_event, data) => data.level === level && resolve());
  });
  video.currentTime = 0;
  hls.currentLevel = level;
  await orFatal(switched);
  await holds(() => video.videoHeight === hls.levels[level].height && !video.seeking);
  await orFatal(new Promise((resolve) => video.requestVideoFrameCallback(resolve)));
  return video.videoHeight;
}

/** Shows subtitles of a language; answers with what stands below the picture at `seconds`. */
async function read(language, seconds) {
  video.pause();
  hls.subtitleTrack = hls.subtitleTracks.findIndex((track) => track.lang === language);
  hls.subtitleDisplay = true;
  video.currentTime = seconds;
  const cues = () => {
    const tracks = [...video.textTracks];
    const track = tracks.find((one) => one.mode === "showing" && one.language === language);
    return [...(track?.activeCues ?? [])].map((cue) => cue.text);
  };
  await holds(() => !video.seeking && cues().length > 0);
  return cues();
}

async function holds(condition) {
  while (!condition()) {
    if (fatal) throw new Error(fatal);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function orFatal(promise) {
  let done = false;
  await Promise.race([promise.then(() => (done = true)), holds(() => done)]);
}

// What a client does: sign in, ask for a stream, play it with hls.js. play.mjs calls these functions.

const video = document.getElementById("video");
let hls;
let fatal;

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
  const { login } = await ask(
    `mutation ($email: EmailAddress!, $password: String!) {
      login(input: {email: $email, password: $password}) { tokens { accessToken } errors { code } } }`,
    { email, password },
  );
  const { movie } = await ask(
    `query ($id: ID!) { movie(by: {id: $id}) { hls { masterPlaylistUrl } } }`,
    { id: title },
    login.tokens.accessToken,
  );
  return movie.hls.masterPlaylistUrl;
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

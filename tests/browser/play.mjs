// Plays films of a running server with hls.js in headless Chromium; prints one line of JSON.
//   node play.mjs '{"api", "page_port", "chromium", "email", "password", "films": [{...}]}'
// The page has an origin of its own, as most clients do, so CORS is part of what is tried.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const STEP_MS = 40_000; // for the slowest machine; every step is far quicker
const TRIES = 5; // of the first picture: the best one is what the server can do
const asked = JSON.parse(process.argv[2]);
const files = {
  "/": ["page.html", "text/html"],
  "/page.js": ["page.js", "text/javascript"],
  "/hls.js": ["node_modules/hls.js/dist/hls.min.js", "text/javascript"],
};

const site = createServer(async (request, response) => {
  const [file, type] = files[request.url] ?? [];
  if (!file) return response.writeHead(404).end();
  const text = await readFile(fileURLToPath(new URL(file, import.meta.url)));
  response.writeHead(200, { "content-type": `${type}; charset=utf-8` }).end(text);
});
await new Promise((resolve) => site.listen(asked.page_port, "127.0.0.1", resolve));
const browser = await chromium.launch({
  executablePath: asked.chromium,
  timeout: STEP_MS,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"],
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(STEP_MS);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("response", (answer) => {
    const path = new URL(answer.url()).pathname;
    if (answer.status() >= 400 && path !== "/favicon.ico") {
      complaints.push(`${answer.status()} ${path}`);
    }
  });
  await page.goto(`http://127.0.0.1:${asked.page_port}/`);
  const films = [];
  for (const film of asked.films) {
    films.push(film.to_its_end ? await ended(page, film) : await watched(page, film));
  }
  console.log(JSON.stringify({ films, complaints }));
} finally {
  await browser.close();
  site.close();
}

async function addressOf(page, film) {
  const who = { email: asked.email, password: asked.password, title: film.title };
  return await page.evaluate(([api, who]) => address(api, who), [asked.api, who]);
}

/** Plays all of a film, in every language of its sound; a film that hangs is told, not thrown. */
async function ended(page, film) {
  const url = await addressOf(page, film);
  try {
    return await within(page.evaluate((url) => playToTheEnd(url), url));
  } catch (error) {
    return { error: String(error), position: await page.evaluate(() => video.currentTime) };
  }
}

async function watched(page, film) {
  const url = await addressOf(page, film);
  let begun;
  for (let tried = 0; tried < TRIES; tried += 1) {
    const now = await within(page.evaluate((url) => play(url), url));
    if (!begun || now.first_frame_ms < begun.first_frame_ms) begun = now;
  }
  const seen = [];
  for (const level of begun.levels.keys()) {
    seen.push(await within(page.evaluate((level) => see(level), level)));
  }
  const told = [];
  for (const [language, seconds] of film.subtitles) {
    told.push(await within(page.evaluate(([l, s]) => read(l, s), [language, seconds])));
  }
  return { ...begun, seen, told };
}

async function within(promise) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${STEP_MS} ms`)), STEP_MS);
  });
  return await Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

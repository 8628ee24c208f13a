// What the scripts of all clients share: the clients of streams, reading from a stream, asking by a hash.
import { createHash } from "node:crypto";
import { createClient as createSse } from "graphql-sse";
import { createClient as createWs } from "graphql-ws";
import WebSocket from "ws";
import { request } from "./request.mjs";

request.mutation = (name) => request.register.replaceAll("NAME", name);

export const headers = { authorization: request.authorization };
export const sha256 = (text) => createHash("sha256").update(text).digest("hex");
export const ws = createWs({
  url: request.url.replace("http", "ws"),
  webSocketImpl: WebSocket,
  connectionParams: headers,
});
export const sse = createSse({ url: request.url, headers });
export const single = createSse({
  url: request.url,
  headers: { ...headers }, // it adds its stream's token to them
  singleConnection: true,
});

// fetch that notes for each request whether it had a document's text, or its hash alone
export function recordFetch(sent) {
  return (url, options) => {
    const { query } = options.body ? JSON.parse(options.body) : {};
    sent.push(query || new URL(url).searchParams.get("query") ? "text" : "hash");
    return fetch(url, options);
  };
}

// for a client without automatic persisted queries: twice the hash, with the text where it is not known
export async function persist(send) {
  const sent = [];
  const extensions = { persistedQuery: { version: 1, sha256Hash: sha256(request.persisted) } };
  const attempt = (query) => {
    sent.push(query ? "text" : "hash");
    return send({ query, extensions });
  };
  const ask = () =>
    attempt("").catch((error) => {
      if (!error.message.includes("PERSISTED_QUERY_NOT_FOUND")) throw error;
      return attempt(request.persisted);
    });
  await ask();
  return { data: await ask(), sent };
}

// the data of the first results, then the stream is left
export const take = (observable, count = 2) =>
  new Promise((done, failed) => {
    const results = [];
    let left;
    const leave = () => (typeof left === "function" ? left() : left?.unsubscribe());
    left = observable.subscribe({
      next(result) {
        if (result.errors) return failed(new Error(JSON.stringify(result.errors)));
        results.push(result.data);
        if (results.length < count) return;
        leave();
        done(results.slice(0, count));
      },
      error: (error) => failed(error instanceof Error ? error : new Error(JSON.stringify(error))),
      complete: () => results.length < count && failed(new Error("ended too early")),
    });
  });

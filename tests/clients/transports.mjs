// What the scripts of all clients share: the two clients of streams, and reading from a stream.
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

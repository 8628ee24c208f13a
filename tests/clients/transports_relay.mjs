// Relay's network layer on fetch, graphql-ws, graphql-sse and, for @defer, multipart parts read by meros.
import { createRequire } from "node:module";
import { meros } from "meros/browser";
import { headers, persist, sse, take, ws } from "./transports.mjs";
import { deferred, lookUp } from "./relay_artifact.mjs";
import { reply, request } from "./request.mjs";

const relay = createRequire(import.meta.url)("relay-runtime");
const { Environment, Network, Observable, RecordSource, Store, createOperationDescriptor } = relay;
const PARTS = "multipart/mixed;deferSpec=20220824, application/graphql-response+json";

async function post(accept, body) {
  const sent = { ...headers, accept, "content-type": "application/json" };
  return fetch(request.url, { method: "POST", headers: sent, body: JSON.stringify(body) });
}

async function fetchWhole({ id, text }, variables) {
  const body = { doc_id: id ?? undefined, query: text ?? undefined, variables };
  return (await post("application/graphql-response+json", body)).json();
}

async function fetchByHash({ text, metadata }, variables) {
  const body = { query: text || undefined, extensions: metadata.extensions, variables };
  const answer = await (await post("application/graphql-response+json", body)).json();
  if (answer.errors) throw new Error(JSON.stringify(answer.errors));
  return answer;
}

// a part of the wire as responses that Relay's store takes, each told whether it is the last
function split({ incremental = [], hasNext, ...first }) {
  const responses = "data" in first ? [first, ...incremental] : incremental;
  return responses.map((response, index) => ({
    ...response,
    extensions: { is_final: !hasNext && index === responses.length - 1 },
  }));
}

const fetchInParts = ({ text: query }, variables) =>
  Observable.create((sink) => {
    const read = async () => {
      const parts = await meros(await post(PARTS, { query, variables }));
      for await (const { body } of parts) for (const response of split(body)) sink.next(response);
    };
    read().then(sink.complete, sink.error);
  });

const over = (client) => ({ text }, variables) =>
  Observable.create((sink) => client.subscribe({ query: text, variables }, sink));

const run = (fetchFunction, operationKind, operation, subscribe = undefined) =>
  Network.create(fetchFunction, subscribe).execute(
    { name: "Any", operationKind, metadata: {}, ...operation },
    {},
    {},
  );
const one = async (...operation) => (await run(...operation).toPromise()).data;
const subscription = (client) =>
  take(run(fetchWhole, "subscription", { text: request.subscription }, over(client)));

// what the store has for a view after the first response, and in the end
function defer() {
  const store = new Store(new RecordSource());
  const environment = new Environment({ network: Network.create(fetchInParts), store });
  const operation = createOperationDescriptor(deferred(request.deferred), {});
  const shown = [];
  return new Promise((done, error) =>
    environment.execute({ operation }).subscribe({
      next: () => shown.push(lookUp(environment, operation)),
      error,
      complete: () => done({ first: shown[0], last: shown.at(-1) }),
    }),
  );
}

reply({
  query: await one(fetchWhole, "query", { text: request.query }),
  mutation: await one(fetchWhole, "mutation", { text: request.mutation("relay") }),
  persisted: await persist(({ query: text, extensions }) =>
    one(fetchByHash, "query", { text, metadata: { extensions } }),
  ),
  trusted: await one(fetchWhole, "query", { id: request.trustedId }),
  socket: await subscription(ws),
  events: await subscription(sse),
  defer: [await defer()],
});
process.exit(0);

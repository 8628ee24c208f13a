// Relay's network layer, graphql-ws and graphql-sse alone.
import { createRequire } from "node:module";
import { headers, sha256, single, sse, take, ws } from "./transports.mjs";
import { reply, request } from "./request.mjs";

const { Network, Observable } = createRequire(import.meta.url)("relay-runtime");

async function fetchFunction({ id, text }, variables) {
  const body = JSON.stringify({ doc_id: id ?? undefined, query: text ?? undefined, variables });
  const sent = { accept: "application/graphql-response+json", "content-type": "application/json" };
  const response = await fetch(request.url, { method: "POST", headers: { ...headers, ...sent }, body });
  return await response.json();
}
const network = Network.create(fetchFunction, ({ text }, variables) =>
  Observable.create((sink) => ws.subscribe({ query: text, variables }, sink)),
);
const run = (kind, operation) =>
  network.execute({ name: "Any", operationKind: kind, metadata: {}, ...operation }, {}, {});

const one = async (client, operation) =>
  (await take({ subscribe: (sink) => client.subscribe(operation, sink) }, 1))[0];
const hashed = (text) => ({
  query: "", // graphql-ws sends no message without it
  extensions: { persistedQuery: { version: 1, sha256Hash: sha256(text) } },
});

async function ask(client, name) {
  await one(client, { ...hashed(request.persisted), query: request.persisted });
  return {
    query: await one(client, { query: request.query }),
    mutation: await one(client, { query: request.mutation(name) }),
    persisted: await one(client, hashed(request.persisted)),
    trusted: await one(client, { query: "", documentId: request.trustedId }),
    subscription: await take({
      subscribe: (sink) => client.subscribe({ query: request.subscription }, sink),
    }),
  };
}

reply({
  relay: {
    query: (await run("query", { text: request.query }).toPromise()).data,
    mutation: (await run("mutation", { text: request.mutation("relay") }).toPromise()).data,
    trusted: (await run("query", { id: request.trustedId }).toPromise()).data,
    subscription: await take(run("subscription", { text: request.subscription })),
  },
  ws: await ask(ws, "ws"),
  sse: await ask(sse, "sse"),
  single: await ask(single, "single"),
});
process.exit(0);

// graphql-ws and graphql-sse by themselves: every operation is a stream of results.
import { persist, single, sse, take, ws } from "./transports.mjs";
import { reply, request } from "./request.mjs";

const client = { ws, sse, single }[request.client];
const observe = (operation) => ({ subscribe: (sink) => client.subscribe(operation, sink) });
const one = async (operation) => (await take(observe(operation), 1))[0];

// all results of an operation, until the server completes it
const collect = (operation) =>
  new Promise((done, error) => {
    const results = [];
    const next = (result) => results.push(result);
    observe(operation).subscribe({ next, error, complete: () => done(results) });
  });

reply({
  query: await one({ query: request.query }),
  mutation: await one({ query: request.mutation(request.client) }),
  persisted: await persist(one), // the query is "" beside a hash: graphql-ws sends no message without it
  trusted: await one({ query: "", documentId: request.trustedId }),
  [request.client === "ws" ? "socket" : "events"]: await take(observe({ query: request.subscription })),
  defer: await collect({ query: request.deferred }),
});
process.exit(0);

// urql 6: its fetch exchange for all kinds of operations, persisted queries, graphql-ws for subscriptions.
import { Client, createRequest, fetchExchange, makeOperation, subscriptionExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { pipe, subscribe, take as first, toPromise as promise } from "wonka";
import { headers, recordFetch, take, ws } from "./transports.mjs";
import { reply, request } from "./request.mjs";

// urql leaves a stream by aborting its fetch, and looks after that no more
process.on("unhandledRejection", (error) => {
  if (error.name !== "AbortError") throw error;
});

const open = (exchanges, more = {}) =>
  new Client({ url: request.url, exchanges, fetchOptions: { headers }, ...more });
const plain = open([fetchExchange], { fetchSubscriptions: true, preferGetMethod: false });
const overSocket = open([
  subscriptionExchange({
    forwardSubscription: ({ query, variables }) => ({
      subscribe: (sink) => ({ unsubscribe: ws.subscribe({ query, variables }, sink) }),
    }),
  }),
]);

const observe = (source) => ({
  subscribe(sink) {
    const { unsubscribe } = pipe(
      source,
      subscribe((result) => (result.error ? sink.error(result.error) : sink.next(result))),
    );
    return { unsubscribe };
  },
});

async function data(result) {
  const { data, error } = await result.toPromise();
  if (error) throw error;
  return data;
}

// what a view shows first, and what it shows in the end
const defer = () =>
  new Promise((done, failed) => {
    const shown = [];
    pipe(
      plain.query(request.deferred, {}),
      subscribe(({ data, error, hasNext }) => {
        if (error) failed(error);
        shown.push(JSON.parse(JSON.stringify(data)));
        if (!hasNext) done({ first: shown[0], last: shown.at(-1) });
      }),
    );
  });

async function persist() {
  const sent = [];
  const client = open([persistedExchange(), fetchExchange], { fetch: recordFetch(sent) });
  await data(client.query(request.persisted, {}));
  return { data: await data(client.query(request.persisted, {})), sent };
}

// a document that is an id alone, as a compiler leaves it
const trusted = makeOperation(
  "query",
  { key: 1, query: { kind: "Document", definitions: [], documentId: request.trustedId }, variables: {} },
  plain.createRequestOperation("query", createRequest(request.query, {})).context,
);
const toPromise = (source) => pipe(source, first(1), promise);

reply({
  query: await data(plain.query(request.query, {})),
  mutation: await data(plain.mutation(request.mutation("urql"), {})),
  persisted: await persist(),
  trusted: await data({ toPromise: () => toPromise(plain.executeRequestOperation(trusted)) }),
  socket: await take(observe(overSocket.subscription(request.subscription, {}))),
  events: await take(observe(plain.subscription(request.subscription, {}))),
  defer: [await defer()],
});
process.exit(0);

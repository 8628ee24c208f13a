// Apollo Client 4 by its own links: HTTP, persisted queries, graphql-ws, graphql-sse, and both handlers of @defer.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { Defer20220824Handler, GraphQL17Alpha9Handler } from "@apollo/client/incremental";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { print } from "graphql";
import { Observable } from "rxjs";
import { headers, recordFetch, sha256, sse, take, ws } from "./transports.mjs";
import { reply, request } from "./request.mjs";

const http = () => new HttpLink({ uri: request.url, headers });
const open = (link, more = {}) => new ApolloClient({ link, cache: new InMemoryCache(), ...more });
const plain = open(http());

const sseLink = new ApolloLink(
  ({ query, variables, operationName }) =>
    new Observable((sink) =>
      sse.subscribe({ query: print(query), variables, operationName }, sink),
    ),
);
const trustedLink = new ApolloLink((operation, forward) => {
  operation.setContext({ http: { includeQuery: false } });
  operation.extensions = { persistedQuery: { version: 1, sha256Hash: request.trustedId } };
  return forward(operation);
});

// what a view shows first, and what it shows in the end
async function defer(handler) {
  const client = open(http(), { incrementalHandler: new handler() });
  const shown = [];
  await new Promise((done, failed) => {
    const observable = client.watchQuery({ query: gql(request.deferred) });
    observable.subscribe({
      next({ data, dataState, error }) {
        if (error) failed(error);
        if (data) shown.push(JSON.parse(JSON.stringify(data)));
        if (dataState === "complete") done();
      },
      error: failed,
    });
  });
  return { first: shown[0], last: shown.at(-1) };
}

async function persist() {
  const sent = [];
  const link = new PersistedQueryLink({ sha256, useGETForHashedQueries: true });
  const recording = new HttpLink({ uri: request.url, headers, fetch: recordFetch(sent) });
  const client = open(link.concat(recording));
  const ask = () => client.query({ query: gql(request.persisted), fetchPolicy: "network-only" });
  await ask();
  return { data: (await ask()).data, sent };
}

reply({
  query: (await plain.query({ query: gql(request.query) })).data,
  mutation: (await plain.mutate({ mutation: gql(request.mutation("apollo")) })).data,
  persisted: await persist(),
  trusted: (await open(trustedLink.concat(http())).query({ query: gql(request.trusted) })).data,
  socket: await take(open(new GraphQLWsLink(ws)).subscribe({ query: gql(request.subscription) })),
  events: await take(open(sseLink).subscribe({ query: gql(request.subscription) })),
  defer: [await defer(Defer20220824Handler), await defer(GraphQL17Alpha9Handler)],
});
process.exit(0);

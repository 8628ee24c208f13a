// One query by Apollo Client's and urql's own transports: the headers they send, the answers they get.
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { createClient, fetchExchange } from "@urql/core";
import { reply, request } from "./request.mjs";

const exchanges = [];

async function recordingFetch(url, options) {
  const response = await fetch(url, options);
  exchanges.push({
    method: options.method,
    sent: Object.fromEntries(new Headers(options.headers)),
    status: response.status,
    received: Object.fromEntries(response.headers),
  });
  return response;
}

const apollo = new ApolloClient({
  link: new HttpLink({ uri: request.url, fetch: recordingFetch }),
  cache: new InMemoryCache(),
  clientAwareness: { name: "tests", version: "1" },
});
const urql = createClient({
  url: request.url,
  exchanges: [fetchExchange],
  fetch: recordingFetch,
  preferGetMethod: request.prefersGet,
});

const byApollo = await apollo.query({ query: gql(request.query) });
const byUrql = await urql.query(request.query, {}).toPromise();
reply({
  apollo: { data: byApollo.data, error: String(byApollo.error ?? ""), exchange: exchanges[0] },
  urql: { data: byUrql.data, error: String(byUrql.error ?? ""), exchange: exchanges[1] },
});

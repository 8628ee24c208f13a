// Apollo's relayStylePagination, page by page: how many edges its cache holds after each.
import { ApolloClient, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { relayStylePagination } from "@apollo/client/utilities";
import { reply, request } from "./request.mjs";

async function readPages({ type, field, path, query, variables, backwards }) {
  const client = new ApolloClient({
    link: new HttpLink({ uri: request.url, headers: request.headers }),
    cache: new InMemoryCache({
      typePolicies: { [type]: { fields: { [field]: relayStylePagination() } } },
    }),
  });
  const pages = client.watchQuery({ query: gql(query), variables });
  const subscription = pages.subscribe({});
  await client.query({ query: gql(query), variables });
  const cached = () => client.readQuery({ query: gql(query), variables });
  const connection = () => path.reduce((at, name) => at[name], cached());
  const sizes = [connection().edges.length];
  for (;;) {
    const { hasNextPage, hasPreviousPage, startCursor, endCursor } = connection().pageInfo;
    if (!(backwards ? hasPreviousPage : hasNextPage) || sizes.length > 20) break;
    const further = backwards ? { before: startCursor } : { after: endCursor };
    await pages.fetchMore({ variables: { ...variables, ...further } });
    sizes.push(connection().edges.length);
  }
  subscription.unsubscribe();
  const cursors = connection().edges.map((edge) => edge.cursor);
  return { sizes, distinct: new Set(cursors).size };
}

const answers = {};
for (const connection of request.connections) answers[connection.name] = await readPages(connection);
reply(answers);

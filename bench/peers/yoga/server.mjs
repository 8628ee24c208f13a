// GraphQL Yoga 5 on Node's own http server or Bun's; parser and validation caches are on by default.
import http from 'node:http';
import { useGraphQlJit } from '@envelop/graphql-jit';
import { makeExecutableSchema } from '@graphql-tools/schema';
import { usePersistedOperations } from '@graphql-yoga/plugin-persisted-operations';
import { createInMemoryCache, useResponseCache } from '@graphql-yoga/plugin-response-cache';
import { createYoga } from 'graphql-yoga';
import { makeLoaders, resolvers, typeDefs } from '../shared/resolvers.mjs';

const plugins = [];
if (process.env.JIT !== 'off') plugins.push(useGraphQlJit());
if (process.env.CACHE === 'memory') {
  const operations = JSON.parse(process.env.OPERATIONS); // hash -> text
  plugins.push(
    usePersistedOperations({
      allowArbitraryOperations: true,
      getPersistedOperation: (hash) => operations[hash] ?? null,
    }),
    useResponseCache({
      session: () => null,
      ttl: 3_600_000,
      // Room for the working set; the default of 1,000 answers would evict most of it.
      cache: createInMemoryCache({ max: 25_000 }),
    }),
  );
}
const yoga = createYoga({
  schema: makeExecutableSchema({ typeDefs, resolvers }),
  context: () => ({ loaders: makeLoaders() }),
  graphiql: false,
  landingPage: false,
  plugins,
});
const port = Number(process.env.PORT);
if (globalThis.Bun) {
  globalThis.Bun.serve({ port, hostname: '127.0.0.1', fetch: yoga.fetch });
} else {
  http.createServer(yoga).listen(port, '127.0.0.1');
}

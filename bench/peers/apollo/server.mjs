// Apollo Server 5 on Express 5, set up as its "deploying" and "caching" pages say.
import http from 'node:http';
import { ApolloServer } from '@apollo/server';
import { ApolloServerPluginCacheControl } from '@apollo/server/plugin/cacheControl';
import { ApolloServerPluginDrainHttpServer } from '@apollo/server/plugin/drainHttpServer';
import responseCache from '@apollo/server-plugin-response-cache';
import { InMemoryLRUCache } from '@apollo/utils.keyvaluecache';
import { expressMiddleware } from '@as-integrations/express5';
import express from 'express';
import { makeLoaders, resolvers, typeDefs } from '../shared/resolvers.mjs';

const cached = process.env.CACHE === 'memory';
const app = express();
const httpServer = http.createServer(app);
const server = new ApolloServer({
  typeDefs,
  resolvers,
  introspection: false,
  // Room for the working set; the default of 30 MiB would evict some of it.
  cache: new InMemoryLRUCache({ maxSize: 256 * 2 ** 20 }),
  plugins: [
    ApolloServerPluginDrainHttpServer({ httpServer }),
    ...(cached ? [ApolloServerPluginCacheControl({ defaultMaxAge: 3600 }), responseCache()] : []),
  ],
});
await server.start();
app.use(
  '/graphql',
  express.json(),
  expressMiddleware(server, { context: async () => ({ loaders: makeLoaders() }) }),
);
httpServer.listen(Number(process.env.PORT), '127.0.0.1');

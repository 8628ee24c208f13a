// No framework: graphql-jit compiles each operation once; Bun's own server, or node:http.
import http from 'node:http';
import { makeExecutableSchema } from '@graphql-tools/schema';
import { parse, validate } from 'graphql';
import { compileQuery } from 'graphql-jit';
import { makeLoaders, resolvers, typeDefs } from '../shared/resolvers.mjs';

const schema = makeExecutableSchema({ typeDefs, resolvers });
const plans = new Map();
const JSON_TYPE = { 'content-type': 'application/json' };

function planOf(query) {
  if (!plans.has(query)) {
    const document = parse(query);
    const [error] = validate(schema, document);
    if (error) throw error;
    plans.set(query, compileQuery(schema, document));
  }
  return plans.get(query);
}

async function answer({ query, variables }) {
  const plan = planOf(query);
  const result = await plan.query(undefined, { loaders: makeLoaders() }, variables);
  return plan.stringify(result);
}

const port = Number(process.env.PORT);
if (globalThis.Bun) {
  globalThis.Bun.serve({
    port,
    hostname: '127.0.0.1',
    fetch: async (request) => new Response(await answer(await request.json()), { headers: JSON_TYPE }),
  });
} else {
  const server = http.createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      const body = Buffer.from(await answer(JSON.parse(Buffer.concat(chunks))));
      response.writeHead(200, { ...JSON_TYPE, 'content-length': body.length }).end(body);
    });
  });
  server.listen(port, '127.0.0.1');
}

// Mercurius 16 with JIT and its own loaders, on Fastify 5; optionally behind mercurius-cache.
import Fastify from 'fastify';
import mercurius from 'mercurius';
import cache from 'mercurius-cache';
import { storedFields } from '../shared/projection.mjs';
import { plainFields, rootFields, typeDefs } from '../shared/resolvers.mjs';
import * as store from '../shared/store.mjs';

// A loader gets every parent of a level at once: fetch the distinct ids, hand each its own.
// Mercurius hands it the selection only while its loader cache is off.
const many = (type, fetchByIds, idsOf) => async (queries) => {
  const { info } = queries[0];
  const wanted = queries.map(({ obj, params }) => idsOf(obj, params));
  const ids = [...new Set(wanted.flat())];
  const rows = await fetchByIds(ids, info && storedFields(type, info));
  const byId = new Map(ids.map((id, index) => [id, rows[index]]));
  return wanted.map((list) => list.map((id) => byId.get(id)).filter((row) => row !== null));
};
const one = (type, fetchByIds, idOf) => {
  const load = many(type, fetchByIds, (obj) => [idOf(obj)]);
  return async (queries) => (await load(queries)).map((rows) => rows[0] ?? null);
};

// The loader cache serialises every parent to make its key; LOADER_CACHE=off measures without it.
const opts = { cache: process.env.LOADER_CACHE !== 'off' };
const similarIds = (movie, { first }) => movie.similar_ids.slice(0, first);
const loaders = {
  Movie: {
    genres: { loader: many('Genre', store.genresByIds, (movie) => movie.genre_ids), opts },
    similar: { loader: many('Movie', store.moviesByIds, similarIds), opts },
  },
  Credit: {
    person: { loader: one('Person', store.peopleByIds, (credit) => credit.person_id), opts },
  },
};

const resolvers = { ...rootFields, ...plainFields };
let context;
if (process.env.PROGRESS) {
  const { reportProgress } = await import('../shared/same_work.mjs');
  resolvers.Mutation = { reportProgress };
  context = ({ headers }) => ({ authorization: headers.authorization });
}

const isCached = process.env.CACHE === 'memory';
const app = Fastify();
app.register(mercurius, {
  schema: typeDefs,
  resolvers,
  loaders,
  context,
  jit: 1,
  graphiql: false,
  persistedQueryProvider: isCached ? mercurius.persistedQueryDefaults.automatic() : undefined,
});

// Custom keys, as mercurius-cache advises: its default key serialises the whole parent document.
const byParent = { key: ({ self, arg }) => `${self._id}:${arg.first ?? ''}` };
if (isCached) {
  app.register(cache, {
    ttl: 3600,
    storage: { type: 'memory', options: { size: 25_000 } },
    policy: {
      Query: {
        movies: { key: ({ arg }) => `${arg.category}:${arg.first}` },
        movie: { key: ({ arg }) => arg.by.id },
      },
      Movie: { genres: byParent, similar: byParent },
      Credit: { person: { key: ({ self }) => self.person_id } },
    },
  });
}
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });

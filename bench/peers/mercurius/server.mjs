// Mercurius 16 with JIT and its own loaders, on Fastify 5; optionally behind mercurius-cache.
import Fastify from 'fastify';
import mercurius from 'mercurius';
import cache from 'mercurius-cache';
import { filmFields } from '../shared/projection.mjs';
import { plainFields, rootFields, typeDefs } from '../shared/resolvers.mjs';
import * as store from '../shared/store.mjs';

// A loader gets every parent of a level at once: fetch the distinct ids, hand each its own.
const many = (fetchByIds, idsOf) => async (queries) => {
  const wanted = queries.map(({ obj, params }) => idsOf(obj, params));
  const ids = [...new Set(wanted.flat())];
  const rows = await fetchByIds(ids, queries[0].info);
  const byId = new Map(ids.map((id, index) => [id, rows[index]]));
  return wanted.map((list) => list.map((id) => byId.get(id)).filter((row) => row !== null));
};
const one = (fetchByIds, idOf) => {
  const load = many(fetchByIds, (obj) => [idOf(obj)]);
  return async (queries) => (await load(queries)).map((rows) => rows[0] ?? null);
};

// The loader cache serialises every parent to make its key; LOADER_CACHE=off measures without it.
const opts = { cache: process.env.LOADER_CACHE !== 'off' };
const loaders = {
  Movie: {
    genres: { loader: many(store.genresByIds, (movie) => movie.genre_ids), opts },
    similar: {
      loader: many(
        // Mercurius hands a loader the selection only while its loader cache is off.
        (ids, info) => store.moviesByIds(ids, info && filmFields(info)),
        (movie, { first }) => movie.similar_ids.slice(0, first),
      ),
      opts,
    },
  },
  Credit: { person: { loader: one(store.peopleByIds, (credit) => credit.person_id), opts } },
};

const app = Fastify();
app.register(mercurius, {
  schema: typeDefs,
  resolvers: { ...rootFields, ...plainFields },
  loaders,
  jit: 1,
  graphiql: false,
});

// Custom keys, as mercurius-cache advises: its default key serialises the whole parent document.
const byParent = { key: ({ self, arg }) => `${self._id}:${arg.first ?? ''}` };
if (process.env.CACHE === 'memory') {
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

// Resolvers of the shared schema; relations go through DataLoader, one set of loaders per request.
import { readFileSync } from 'node:fs';
import DataLoader from 'dataloader';
import { storedFields } from './projection.mjs';
import * as store from './store.mjs';

export const typeDefs = readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8');

// One loader for each set of stored fields.
const byFields = (fetchByIds) => {
  const loaders = new Map();
  return (fields) => {
    if (!loaders.has(fields)) {
      loaders.set(fields, new DataLoader((ids) => fetchByIds(ids, fields)));
    }
    return loaders.get(fields);
  };
};

export const makeLoaders = () => ({
  movie: byFields(store.moviesByIds),
  person: byFields(store.peopleByIds),
  genre: byFields(store.genresByIds),
});

const present = (rows) => rows.filter((row) => row !== null);

// Fields that are only read from the stored document; Mercurius uses these too.
export const plainFields = {
  Movie: {
    id: (movie) => movie._id,
    voteCount: (movie) => movie.vote_count,
    runtimeSeconds: (movie) => movie.runtime_seconds,
    poster: (movie) => (movie.poster_path ? { path: movie.poster_path } : null),
    credits: (movie, { first }) => movie.credits.slice(0, first),
  },
  Image: { url: (image, { width }) => store.posterUrl(image.path, width) },
  Genre: { id: (genre) => genre._id },
  Person: { id: (person) => person._id },
};

export const rootFields = {
  Query: {
    movies: (_, { first }, context, info) =>
      store.popularMovies(first ?? 20, storedFields('Movie', info, ['nodes'])),
    movie: (_, { by }, context, info) => store.movieById(by.id, storedFields('Movie', info)),
  },
  Mutation: { reportProgress: (_, { input }) => store.saveProgress(input) },
};

export const resolvers = {
  ...rootFields,
  ...plainFields,
  Movie: {
    ...plainFields.Movie,
    genres: async (movie, _, { loaders }, info) =>
      present(await loaders.genre(storedFields('Genre', info)).loadMany(movie.genre_ids)),
    similar: async (movie, { first }, { loaders }, info) =>
      present(
        await loaders.movie(storedFields('Movie', info)).loadMany(movie.similar_ids.slice(0, first)),
      ),
  },
  Credit: {
    person: (credit, _, { loaders }, info) =>
      loaders.person(storedFields('Person', info)).load(credit.person_id),
  },
};

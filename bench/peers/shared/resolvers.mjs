// Resolvers of the shared schema; relations go through DataLoader, one set of loaders per request.
import { readFileSync } from 'node:fs';
import DataLoader from 'dataloader';
import { filmFields } from './projection.mjs';
import * as store from './store.mjs';

export const typeDefs = readFileSync(new URL('../schema.graphql', import.meta.url), 'utf8');

export const makeLoaders = () => {
  const movies = new Map(); // one loader for each set of stored fields
  return {
    movie(fields) {
      if (!movies.has(fields)) {
        movies.set(fields, new DataLoader((ids) => store.moviesByIds(ids, fields)));
      }
      return movies.get(fields);
    },
    person: new DataLoader((ids) => store.peopleByIds(ids)),
    genre: new DataLoader((ids) => store.genresByIds(ids)),
  };
};

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
      store.popularMovies(first ?? 20, filmFields(info, ['nodes'])),
    movie: (_, { by }, context, info) => store.movieById(by.id, filmFields(info)),
  },
  Mutation: { reportProgress: (_, { input }) => store.saveProgress(input) },
};

export const resolvers = {
  ...rootFields,
  ...plainFields,
  Movie: {
    ...plainFields.Movie,
    genres: async (movie, _, { loaders }) => present(await loaders.genre.loadMany(movie.genre_ids)),
    similar: async (movie, { first }, { loaders }, info) =>
      present(await loaders.movie(filmFields(info)).loadMany(movie.similar_ids.slice(0, first))),
  },
  Credit: { person: (credit, _, { loaders }) => loaders.person.load(credit.person_id) },
};

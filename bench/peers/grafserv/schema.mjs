// The shared schema as Grafast plans: each step loads one batch, with the attributes asked of it.
import {
  connection, constant, get, lambda, loadMany, loadOne, makeGrafastSchema, sideEffect,
} from 'grafast';
import { typeDefs } from '../shared/resolvers.mjs';
import * as store from '../shared/store.mjs';

const projectionOf = (attributes) =>
  ({ _id: 1, ...Object.fromEntries(attributes.map((name) => [name, 1])) });

const popularMovies = {
  name: 'popularMovies',
  paginationSupport: {},
  load: async (lookups, { attributes, params }) => {
    const rows = await store.popularRows(params.limit, projectionOf(attributes));
    return lookups.map(() => rows);
  },
};

const moviesByIds = { name: 'moviesByIds', load: manyOf(store.moviesByIds) };
const genresByIds = { name: 'genresByIds', load: manyOf(store.genresByIds) };
const personById = {
  name: 'personById',
  load: (ids, { attributes }) => store.peopleByIds(ids, projectionOf(attributes)),
};
const movieById = {
  name: 'movieById',
  load: (ids, { attributes }) =>
    Promise.all(ids.map((id) => store.movieById(id, projectionOf(attributes)))),
};

// Lists of ids in, lists of records out: one command for the distinct ids of a level.
function manyOf(fetchByIds) {
  return async (lists, { attributes }) => {
    const ids = [...new Set(lists.flat())];
    const rows = await fetchByIds(ids, projectionOf(attributes));
    const byId = new Map(ids.map((id, index) => [id, rows[index]]));
    return lists.map((list) => list.map((id) => byId.get(id)).filter((row) => row !== null));
  };
}

const leading = ($list, $first) => lambda([$list, $first], ([list, first]) => list.slice(0, first), true);

const objects = {
  Query: {
    plans: {
      movies(_, { $first }) {
        const $connection = connection(loadMany(constant(true), popularMovies));
        $connection.setFirst($first);
        return $connection;
      },
      movie: (_, fieldArgs) => loadOne(fieldArgs.getRaw(['by', 'id']), movieById),
    },
  },
  MovieConnection: {
    plans: {
      nodes: ($connection) => $connection.nodes(),
      pageInfo: ($connection) => $connection.pageInfo(),
    },
  },
  Movie: {
    plans: {
      id: ($movie) => $movie.get('_id'),
      voteCount: ($movie) => $movie.get('vote_count'),
      runtimeSeconds: ($movie) => $movie.get('runtime_seconds'),
      poster: ($movie) => lambda($movie.get('poster_path'), (path) => (path ? { path } : null), true),
      genres: ($movie) => loadMany($movie.get('genre_ids'), genresByIds),
      credits: ($movie, { $first }) => leading($movie.get('credits'), $first),
      similar: ($movie, { $first }) => loadMany(leading($movie.get('similar_ids'), $first), moviesByIds),
    },
  },
  Image: {
    plans: {
      url: ($image, { $width }) =>
        lambda([get($image, 'path'), $width], ([path, width]) => store.posterUrl(path, width), true),
    },
  },
  Genre: { plans: { id: ($genre) => $genre.get('_id') } },
  Person: { plans: { id: ($person) => $person.get('_id') } },
  Credit: { plans: { person: ($credit) => loadOne(get($credit, 'person_id'), personById) } },
  Mutation: {
    plans: { reportProgress: (_, { $input }) => sideEffect($input, (input) => store.saveProgress(input)) },
  },
};

export const schema = makeGrafastSchema({ typeDefs, objects });

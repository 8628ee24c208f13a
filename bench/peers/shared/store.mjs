// What the Node peers read and write: MongoDB and Redis through their official drivers.
import { MongoClient } from 'mongodb';
import { createClient } from 'redis';

const { MONGODB_URI, MONGODB_DATABASE = 'marquee', REDIS_URL, POSTER_BASE = '' } = process.env;

const mongo = await new MongoClient(MONGODB_URI).connect();
export const redis = await createClient({ url: REDIS_URL }).connect();
const database = mongo.db(MONGODB_DATABASE);
const movies = database.collection('movies');
const people = database.collection('people');
const genres = database.collection('genres');

export const popularRows = (limit, projection) =>
  movies
    .find({ is_active: true }, { projection })
    .sort({ popularity: -1, _id: -1 })
    .limit(limit)
    .toArray();

// One more than asked for tells whether another page follows, without a second command.
export async function popularMovies(first, projection) {
  const rows = await popularRows(first + 1, projection);
  return { nodes: rows.slice(0, first), pageInfo: { hasNextPage: rows.length > first } };
}

export const movieById = (id, projection) =>
  movies.findOne({ _id: id, is_active: true }, { projection });

export const moviesByIds = (ids, projection) =>
  inOrder(movies, ids, { is_active: true }, projection);
export const peopleByIds = (ids, projection) => inOrder(people, ids, {}, projection);
export const genresByIds = (ids, projection) => inOrder(genres, ids, {}, projection);

async function inOrder(collection, ids, also = {}, projection = undefined) {
  // Above the default first batch of 101, so that many ids still cost one round trip.
  const options = { batchSize: ids.length + 1, projection };
  const rows = await collection.find({ _id: { $in: ids }, ...also }, options).toArray();
  const byId = new Map(rows.map((row) => [row._id, row]));
  return ids.map((id) => byId.get(id) ?? null);
}

export async function saveProgress({ sessionId, sequence, positionSeconds, durationSeconds }) {
  await redis.hSet(`bench:progress:${sessionId}`, {
    sequence: String(sequence),
    position: String(positionSeconds),
    duration: String(durationSeconds),
    at: String(Date.now()),
  });
  const percent = durationSeconds ? (100 * positionSeconds) / durationSeconds : 0;
  return { progress: { positionSeconds, percent }, applied: true, errors: [] };
}

// drawn posters are scaled by the browser: one address for all widths
const hasWidths = (path) => !path.endsWith('.svg');
export const posterUrl = (path, width) =>
  `${POSTER_BASE}${path}${width && hasWidths(path) ? `?w=${width}` : ''}`;

// PROJECTION=on: read only the stored fields a selection needs, as a careful author adds by hand.
const STORED = {
  Movie: {
    title: ['title'],
    overview: ['overview'],
    year: ['year'],
    runtimeSeconds: ['runtime_seconds'],
    rating: ['rating'],
    voteCount: ['vote_count'],
    poster: ['poster_path'],
    genres: ['genre_ids'],
    credits: ['credits.person_id', 'credits.character', 'credits.job', 'credits.order'],
    similar: ['similar_ids'],
  },
  Genre: { slug: ['slug'], name: ['name'] },
  Person: { name: ['name'], biography: ['biography'] },
};
const known = new WeakMap(); // a parsed document is kept by the server, so its nodes are too

// The projection for objects of this type at `path` below a field; undefined reads whole documents.
export function storedFields(type, info, path = []) {
  if (process.env.PROJECTION !== 'on') return undefined;
  const [node] = info.fieldNodes;
  if (!known.has(node)) known.set(node, projectionOf(type, selectionsAt(info.fieldNodes, path)));
  return known.get(node);
}

function selectionsAt(nodes, path) {
  const selections = nodes.flatMap((node) => node.selectionSet.selections);
  if (path.length === 0) return selections;
  const [name, ...rest] = path;
  return selectionsAt(selections.filter((field) => field.name.value === name), rest);
}

function projectionOf(type, selections) {
  if (selections.some((selection) => selection.kind !== 'Field')) return undefined;
  const stored = selections.flatMap((field) => STORED[type][field.name.value] ?? []);
  return { _id: 1, ...Object.fromEntries(stored.map((name) => [name, 1])) };
}

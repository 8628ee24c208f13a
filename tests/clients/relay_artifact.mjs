// The deferred query as Relay's compiler would leave it: what its store is to expect, and what a view reads.
const scalar = (name) => ({ kind: "ScalarField", name, args: null, alias: null, storageKey: null });
const linked = (name, concreteType, plural, selections) => ({
  kind: "LinkedField",
  name,
  concreteType,
  plural,
  selections,
  args: null,
  alias: null,
  storageKey: null,
});
const words = () => [scalar("title"), linked("genres", "Genre", true, [scalar("id"), scalar("name")])];
const movies = (selections) => [
  linked("movies", "MovieConnection", false, [
    linked("nodes", "Movie", true, [scalar("id"), ...selections]),
  ]),
];
const named = (kind, selections, more) => ({
  kind,
  selections,
  name: "Deferred",
  argumentDefinitions: [],
  ...more,
});

export const deferred = (text) => ({
  kind: "Request",
  fragment: named("Fragment", movies(words()), { type: "Query", metadata: null, abstractKey: null }),
  operation: named(
    "Operation",
    movies([{ kind: "Defer", if: null, label: "Deferred$defer$Words", selections: words() }]),
  ),
  params: { id: null, cacheID: "deferred", text, name: "Deferred", operationKind: "query", metadata: {} },
});

// a copy without what the store does not have yet
export const lookUp = (environment, operation) =>
  JSON.parse(JSON.stringify(environment.lookup(operation.fragment).data));

// graphcache with the trimmed introspection: which types it normalises, and what it complains of.
import { Client } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { minifyIntrospectionQuery } from "@urql/introspection";
import {
  buildClientSchema,
  execute,
  getNamedType,
  isLeafType,
  isNonNullType,
  isObjectType,
  parse,
} from "graphql";
import { map, pipe } from "wonka";
import { reply, request } from "./request.mjs";

const schema = buildClientSchema(request.introspection);
const types = Object.values(schema.getTypeMap()).filter((type) => isObjectType(type));
const named = types.filter((type) => type.getInterfaces().some((one) => one.name === "Node"));
const complaints = [];
for (const level of ["warn", "error"]) console[level] = (...words) => complaints.push(words.join(" "));

// every type with an id, with all its plain fields and, one level below, objects with theirs
function select(type, depth) {
  const fields = Object.values(type.getFields()).filter((field) =>
    field.args.every((argument) => argument.defaultValue !== undefined || !isNonNullType(argument.type)),
  );
  const parts = fields.map((field) => {
    const of = getNamedType(field.type);
    if (isLeafType(of)) return field.name;
    return depth > 0 && isObjectType(of) ? `${field.name} { ${select(of, depth - 1)} }` : "";
  });
  return ["__typename", ...parts].join(" ");
}

const fragments = named.map((type) => `... on ${type.name} { ${select(type, 1)} }`).join(" ");
const query = `query Everything { nodes(ids: []) { id ${fragments} } }`;
let made = 0;
const make = {
  ID: () => `made_${++made}`,
  String: () => "text",
  Int: () => 1,
  Float: () => 1.5,
  Boolean: () => true,
};

function value(type) {
  const of = getNamedType(type);
  const one = () => {
    if (isObjectType(of)) return { __typename: of.name };
    if (of.getValues) return of.getValues()[0].name;
    return (make[of.name] ?? make.String)();
  };
  return String(type).includes("[") ? [one()] : one();
}

const answer = await execute({
  schema,
  document: parse(query),
  rootValue: { nodes: named.map((type) => ({ __typename: type.name })) },
  fieldResolver: (source, _args, _context, { fieldName, returnType }) =>
    fieldName in source ? source[fieldName] : value(returnType),
  typeResolver: ({ __typename }) => __typename,
});

const written = {};
const storage = {
  readData: () => Promise.resolve({}),
  writeData: (delta) => Promise.resolve(Object.assign(written, delta)),
};
const cache = cacheExchange({
  schema: minifyIntrospectionQuery(request.introspection),
  keys: Object.fromEntries(request.withoutId.map((name) => [name, () => null])),
  storage,
});
const server = () => (operations) =>
  pipe(
    operations,
    map((operation) => ({ operation, data: answer.data, stale: false, hasNext: false })),
  );
const client = new Client({ url: request.url, exchanges: [cache, server] });
const aMoment = () => new Promise((done) => setTimeout(done, 200)); // of reading and writing storage
await aMoment();
const result = await client.query(query, {}).toPromise();
await aMoment();
reply({
  failure: String(answer.errors ?? result.error ?? ""),
  types: named.map((type) => type.name).sort(),
  normalised: [...new Set(Object.keys(written).map((key) => /^(\w+):/.exec(key)?.[1]))].filter(Boolean).sort(),
  complaints,
});

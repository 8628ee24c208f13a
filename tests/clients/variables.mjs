// The variables that Relay sends for a connection which pages both ways.
import { createRequire } from "node:module";
import { reply, request } from "./request.mjs";

const getPaginationVariables = createRequire(import.meta.url)(
  "relay-runtime/lib/util/getPaginationVariables",
);
const connection = {
  forward: { count: "first", cursor: "after" },
  backward: { count: "last", cursor: "before" },
  path: ["movies"],
};
const build = (direction) =>
  getPaginationVariables(direction, request.count, request.cursor, request.base, {}, connection);

reply({ forward: build("forward"), backward: build("backward") });

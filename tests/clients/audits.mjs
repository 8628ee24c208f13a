// The audits of the suite graphql-http: how each of them ends for a server.
import { serverAudits } from "graphql-http";
import { reply, request } from "./request.mjs";

const results = [];
for (const audit of serverAudits({ url: request.url })) {
  const result = await audit.fn();
  const reason = result.status === "ok" ? "" : result.reason;
  results.push({ id: audit.id, name: audit.name, status: result.status, reason });
}
reply(results);

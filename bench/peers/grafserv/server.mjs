// Grafserv on node:http; Grafast's plans ask for the attributes that a selection needs.
import { createServer } from 'node:http';
import { grafserv } from 'grafserv/node';
import { schema } from './schema.mjs';

const preset = { grafserv: { graphiql: false, watch: false } };
const server = createServer();
grafserv({ schema, preset }).addTo(server);
server.listen(Number(process.env.PORT), '127.0.0.1');

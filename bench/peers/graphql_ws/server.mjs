// graphql-ws on ws, as its documentation sets it up: liveMetrics, an event a second for everybody.
import { createServer } from 'node:http';
import { EventEmitter } from 'node:events';
import { buildSchema } from 'graphql';
import { useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';

const schema = buildSchema(`
  enum CacheLevel { MEMORY REDIS RESPONSE }
  type CacheLevelStats { level: CacheLevel! hits: Int! misses: Int! stale: Int! hitRate: Float! }
  type MetricsPoint {
    at: String! requestsPerSecond: Float! errorRate: Float! p50Ms: Float! p95Ms: Float! p99Ms: Float!
    cache: [CacheLevelStats!]! databaseP95Ms: Float activeConnections: Int! activeStreams: Int!
    progressBacklog: Int! progressLagSeconds: Float!
  }
  type LiveMetricsEvent { cursor: String! points: [MetricsPoint!]! gap: Boolean! }
  type Query { ok: Boolean }
  type Subscription { liveMetrics: LiveMetricsEvent! }
`);

const ticks = new EventEmitter().setMaxListeners(0);
let newest;

setInterval(() => {
  const at = new Date();
  const cache = ['MEMORY', 'REDIS', 'RESPONSE'].map((level) => (
    { level, hits: 0, misses: 0, stale: 0, hitRate: 0 }
  ));
  const point = {
    at: at.toISOString(), requestsPerSecond: 0, errorRate: 0, p50Ms: 0, p95Ms: 0, p99Ms: 0, cache,
    databaseP95Ms: null, activeConnections: 10000, activeStreams: 10000, progressBacklog: 0,
    progressLagSeconds: 0,
  };
  newest = { cursor: `${at.getTime()}-0`, points: [point], gap: false };
  ticks.emit('tick');
}, 1000);

// The newest event, then each one that comes; a slot of one, as ours has.
async function* liveMetrics() {
  let wake = () => {};
  let isReady = newest !== undefined;
  const listen = () => { isReady = true; wake(); };
  ticks.on('tick', listen);
  try {
    while (true) {
      if (!isReady) await new Promise((resolve) => { wake = resolve; });
      isReady = false;
      yield { liveMetrics: newest };
    }
  } finally {
    ticks.off('tick', listen);
  }
}

const server = createServer((_, response) => response.end('{"data":{"__typename":"Query"}}'));
const sockets = new WebSocketServer({ server, path: '/graphql' });
useServer({ schema, roots: { subscription: { liveMetrics } } }, sockets);
server.listen({ port: Number(process.env.PORT), host: '127.0.0.1', backlog: 4096 });

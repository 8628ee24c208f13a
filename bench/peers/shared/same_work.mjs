// reportProgress with the work of ours: the token checked, our Lua script called by its hash.
import zlib from 'node:zlib';
import { createVerifier } from 'fast-jwt';
import { pack, unpack } from 'msgpackr';
import { RESP_TYPES } from 'redis';
import { redis } from './store.mjs';

const ours = JSON.parse(process.env.PROGRESS);
const verify = createVerifier({
  key: ours.publicKey,
  algorithms: ['EdDSA'],
  allowedIss: 'marquee',
  allowedAud: 'marquee-api',
  cache: 10_000,
});
const binary = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
const sha = await redis.scriptLoad(ours.script);
const APPLIED = 1;

const named = (key, shard, id = '') => key.replace('%id', id).replace('%shard', shard);

export async function reportProgress(_, { input }, { authorization = '' }) {
  const user = verify(authorization.slice('Bearer '.length)).sub;
  const shard = String(zlib.crc32(user) % ours.shards);
  const keys = [
    named(ours.keys.session, shard, input.sessionId),
    named(ours.keys.unflushed, shard, user),
    named(ours.keys.stream, shard),
  ];
  const report = pack([
    user, input.sessionId, input.sequence, input.positionSeconds, input.durationSeconds ?? 0,
    input.state, null, input.seeked, Date.now(), null, ...ours.limits,
    named(ours.keys.channel, shard), ...ours.rules,
  ]);
  const reply = await binary.evalSha(sha, { keys, arguments: [report] });
  if (!Array.isArray(reply)) throw new Error(`the script answered ${reply}`);
  const [outcome, , , , packed] = reply;
  const state = unpack(packed);
  const [positionSeconds, duration] = [state[ours.position], state[ours.duration]];
  const percent = duration ? (100 * positionSeconds) / duration : 0;
  return { progress: { positionSeconds, percent }, applied: outcome === APPLIED, errors: [] };
}

// Events of who is in the pool, of its configuration, and of the life of a balancer: the zod schema of each.
import { z } from 'zod'
import { discoveryCauses, topologyChanges } from './discovery.ts'
import { actor, declared, define, int, json, obj, plainLb, source, text } from './event-parts.ts'

const change = obj({ path: text, from: json.optional(), to: json.optional() })
const changeFields = {
  source: z.enum(['api', 'start', 'deadline']),
  message: text.optional(),
  ticket: text.optional(),
  break_glass: z.boolean().optional(),
}

export const controlEvents = {
  'topology.changed': define('control', 'info', 'A backend that discovery found has joined, left or changed.', {
    backend: obj({ id: text, address: text, port: int }),
    discovery: obj({
      ...source,
      change: z.enum(topologyChanges),
      before: declared.optional(),
      after: declared.optional(),
      pool_size: int,
    }),
    lb: plainLb,
  }),
  'discovery.failed': define(
    'control',
    'warn',
    'A source gave no set that can be used; its last good set stays. Told once for each state, not for each try.',
    {
      discovery: obj({
        ...source,
        cause: z.enum(discoveryCauses),
        detail: text.optional(),
        problems: z.array(obj({ path: text, message: text })).optional(),
        kept: int,
        age_us: int.optional(),
      }),
      lb: plainLb,
    },
  ),
  'discovery.recovered': define('control', 'info', 'A source that had failed gave a good set again.', {
    discovery: obj({ ...source, failures: int, downtime_us: int, found: int }),
    lb: plainLb,
  }),
  'config.changed': define(
    'control',
    'info',
    'A configuration is about to be put in force. Its line is on disk first.',
    {
      actor,
      lb: plainLb,
      config: obj({ ...changeFields, revision: int, hash: text, before: json, after: json, changes: z.array(change) }),
    },
  ),
  'config.rejected': define('control', 'warn', 'A change was refused, by whoever and for whatever reason.', {
    actor,
    lb: plainLb,
    config: obj({ ...changeFields, code: text, detail: text, attempted: json }),
  }),
  'balancer.started': define('control', 'info', 'A balancer was created.', {
    lb: plainLb,
    balancer: obj({ version: text, revision: int, hash: text, config: json }),
  }),
  'balancer.ready': define('control', 'info', 'Its sinks are open, and each source of discovery has answered.', {
    lb: plainLb,
  }),
  'balancer.draining': define('control', 'info', '`close` was called.', {
    lb: plainLb,
    balancer: obj({ in_flight: int }),
  }),
  'balancer.stopped': define('control', 'info', 'It is closed. Outcome `failure` if requests were cut off.', {
    lb: plainLb,
    balancer: obj({ in_flight: int }),
  }),
}

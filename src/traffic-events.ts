// Events of requests, of leases and of the health of backends: the zod schema of each.
import { z } from 'zod'
import {
  access,
  actor,
  backend,
  backendSummary,
  client,
  completion,
  connection,
  decision,
  define,
  int,
  json,
  level,
  network,
  obj,
  plainLb,
  probed,
  requestHead,
  responseHead,
  text,
  tls,
  url,
  withLb,
} from './event-parts.ts'
import { attemptResults } from './outcome.ts'

export const trafficEvents = {
  'request.received': define('traffic', 'info', 'A request came in.', {
    lb: withLb({
      request_id: text,
      level: level.optional(),
      /** How long it had been open, where it is told because it was still open. */
      open_us: int.optional(),
    }),
    client,
    network,
    http: obj({ request: obj(requestHead), route: text.optional() }),
    tls: tls.optional(),
    url,
  }),
  'request.completed': define(
    'traffic',
    'info',
    'A request is over. Exactly one for each request that reached the balancer, whatever became of it.',
    {
      app: json.optional(),
      lb: withLb(completion),
      client,
      network,
      http: obj({
        request: obj({ ...requestHead, body: obj({ size: int }) }),
        response: obj({ ...responseHead, body: obj({ size: int }) }),
        route: text.optional(),
      }),
      tls: tls.optional(),
      url,
    },
  ),
  'tunnel.opened': define('traffic', 'info', 'A client and a backend have switched to another protocol.', {
    lb: withLb({ request_id: text, backend: text, protocol: text, duration_us: int }),
    client,
  }),
  'request.mirrored': define('traffic', 'info', 'What became of the copy of a request.', {
    lb: withLb({
      request_id: text,
      backend: text.optional(),
      result: z.enum([...attemptResults, 'closing']).optional(),
      status_code: int.optional(),
      duration_us: int.optional(),
      skipped: z.enum(['busy', 'body-too-large', 'body-incomplete', 'no-backend']).optional(),
    }),
  }),
  'route.picked': define('traffic', 'info', 'A lease was given by `balancer.pick`.', {
    lb: withLb({ lease_id: text, decision }),
    client: client.optional(),
  }),
  'route.released': define('traffic', 'info', 'A lease was given back.', {
    lb: withLb({
      lease_id: text,
      backend: text,
      result: z.enum(attemptResults),
      status_code: int.optional(),
      duration_us: int,
    }),
  }),
  'access.denied': define(
    'security',
    'warn',
    'Somebody was refused: at the connection, at the request, or at a change of the configuration.',
    {
      access,
      lb: withLb({ request_id: text.optional() }).optional(),
      actor: actor.optional(),
      client: client.optional(),
      network: connection.optional(),
      app: json.optional(),
    },
  ),
  'backend.probed': define('traffic', 'info', 'One probe, and what it found.', { backend: probed, lb: plainLb }),
  'health.summary': define(
    'traffic',
    'info',
    'What the last 60 s were like for each backend; and when watching ends, what there is of them, if there were probes.',
    { lb: withLb({ period_us: int, backends: z.array(backendSummary) }) },
  ),
  'backend.health_changed': define('control', 'warn', 'One axis of a backend moved.', { backend, lb: plainLb }),
  'pool.panic_changed': define(
    'control',
    'error',
    'So few backends are eligible that health is left out of account, or no longer so.',
    { lb: withLb({ panic: z.boolean(), eligible: int, total: int }) },
  ),
}

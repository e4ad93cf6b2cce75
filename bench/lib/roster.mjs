// The peers in the order of the table: what each one is, whether it keeps a log that can be counted, and what it needs.
// Ours stand between the two that they are compared with, for neighbours meet the same spell of the machine.
import { existsSync } from 'node:fs'
import { onPath } from './machine.mjs'

const built = () =>
  existsSync(new URL('../../dist/index.js', import.meta.url)) ? undefined : 'not built: npm run build'
const installed = (command) => () => (onPath(command) ? undefined : 'not installed')

export const roster = [
  { name: 'node-hello', about: 'no proxy: Node answers by itself' },
  { name: 'undici-hop', about: 'the least that forwards correctly: raw undici dispatch, no log' },
  { name: 'auditlb-off', about: 'auditlb, no sinks', missing: built },
  { name: 'auditlb-stdout', about: 'auditlb, every request to stdout (/dev/null)', missing: built },
  { name: 'auditlb-file', about: 'auditlb, every request to the sealed log on disk', logs: true, missing: built },
  { name: 'auditlb-http', about: 'auditlb over node:http, no sinks', missing: built },
  { name: 'fast-proxy', about: 'fast-proxy, no log' },
  { name: 'fastify-http-proxy', about: '@fastify/http-proxy, no log' },
  { name: 'http-proxy', about: 'http-proxy with a keep-alive agent, no log' },
  { name: 'http-proxy-middleware', about: 'http-proxy-middleware on Express, no log' },
  { name: 'http-proxy-pino', about: 'http-proxy with pino-http to a file', logs: true },
  { name: 'nginx', about: 'nginx with a JSON access log', logs: true, missing: installed('nginx') },
  { name: 'haproxy', about: 'HAProxy with a JSON log', logs: true, missing: installed('haproxy') },
  { name: 'caddy', about: 'Caddy with a JSON access log', logs: true, missing: installed('caddy') },
]

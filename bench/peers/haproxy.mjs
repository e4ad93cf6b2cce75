// HAProxy: one thread, kept connections to the backends, a JSON log line for each request on stdout, which is a file.
import { openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, runNative } from '../lib/native.mjs'
import { backends, dir } from '../lib/peer.mjs'

const port = await freePort()
const config = join(dir, 'haproxy.cfg')

writeFileSync(
  config,
  `global
  nbthread 1
  maxconn 4096
  log stdout format raw local0
defaults
  mode http
  log global
  log-format '{"time":"%Tl","client":"%ci","method":"%HM","path":"%HP","status":%ST,"bytes":%B,"duration":%Ta,"backend":"%s","end":"%tsc"}'
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 600s
  timeout server 600s
frontend bench
  bind 127.0.0.1:${port}
  default_backend backends
backend backends
  balance roundrobin
  ${backends.map((url, index) => `server b${index} ${new URL(url).host}`).join('\n  ')}
`,
)

await runNative(port, 'haproxy', ['-f', config, '-db'], { stdout: openSync(join(dir, 'access.log'), 'a') })

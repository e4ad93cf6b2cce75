// Caddy: one core, kept connections to the backends, its JSON access log to a file.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, runNative } from '../lib/native.mjs'
import { backends, dir } from '../lib/peer.mjs'

const port = await freePort()
const config = join(dir, 'Caddyfile')

writeFileSync(
  config,
  `{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
http://:${port} {
  bind 127.0.0.1
  log {
    level INFO
    format json
    output file ${dir}/access.log {
      roll_disabled
    }
  }
  reverse_proxy ${backends.join(' ')} {
    lb_policy round_robin
    transport http {
      keepalive_idle_conns_per_host 256
    }
  }
}
`,
)

await runNative(port, 'caddy', ['run', '--config', config, '--adapter', 'caddyfile'], {
  env: { GOMAXPROCS: '1', XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir },
})

// nginx: one worker, kept connections to the backends, a buffered JSON access log.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, runNative } from '../lib/native.mjs'
import { backends, dir } from '../lib/peer.mjs'

const port = await freePort()
const config = join(dir, 'nginx.conf')
const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']

writeFileSync(
  config,
  `worker_processes 1;
pid ${dir}/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  ${temporary.map((kind) => `${kind}_temp_path ${dir}/${kind};`).join('\n  ')}
  log_format json escape=json '{"time":"$time_iso8601","client":"$remote_addr","method":"$request_method",'
    '"path":"$uri","status":$status,"bytes":$body_bytes_sent,"duration":$request_time,"agent":"$http_user_agent",'
    '"backend":"$upstream_addr","backend_status":"$upstream_status","backend_time":"$upstream_response_time"}';
  access_log ${dir}/access.log json buffer=64k flush=1s;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  upstream backends {
    ${backends.map((url) => `server ${new URL(url).host};`).join('\n    ')}
    keepalive 256;
    keepalive_timeout 500s;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://backends;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
    }
  }
}
`,
)

await runNative(port, 'nginx', ['-c', config, '-p', dir, '-e', 'stderr', '-g', 'daemon off;'])

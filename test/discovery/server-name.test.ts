// Backends that have an address and are called by a name: what is verified, what is asked for, and what they are told.
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { BalancerError } from '../../src/errors.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { dnsServer } from '../support/dns-server.ts'
import { edge } from '../support/edge.ts'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { bundle } from '../support/program.ts'
import { send } from '../support/raw-client.ts'
import { startScript } from '../support/script.ts'
import { selfSigned } from '../support/tls.ts'
import { watched } from '../support/watched.ts'

it('a certificate is verified against the name, not the address, also of what DNS has found', async () => {
  const { key, cert } = selfSigned('shop.test')
  const trusted = join(tempFolder(), 'ca.pem')
  writeFileSync(trusted, cert)
  const asked: (string | false | undefined)[] = []
  const server = createServer({ key, cert }, (request, response) => {
    asked.push((request.socket as { servername?: string | false }).servername)
    response.end(request.headers.host)
  })
  closeAfterTest(server)
  const port = await listen(server)
  const dns = await dnsServer({ 'A shop.test': { records: ['127.0.0.1'] } })
  const program = await bundle('test/support/tls-program.ts')
  const script = startScript(program.path, {
    args: [String(port), dns.address],
    env: { NODE_EXTRA_CA_CERTS: trusted },
  })
  const { stdout, stderr } = await script.ended
  program.remove()
  const answers = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
  const wrong = 'ERR_TLS_CERT_ALTNAME_INVALID'
  expect([answers, stderr]).toEqual([
    [
      [502, wrong, '', wrong],
      [200, 'ok', `shop.test:${port}`, 'healthy', 502],
      [502, wrong, '', wrong],
      [200, 'ok', `shop.test:${port}`, 'healthy'],
    ],
    '',
  ])
  expect(new Set(asked)).toEqual(new Set(['shop.test']))
})

it.each([
  ['backend', (port: number) => `shop.test:${port}`],
  ['keep', () => 'edge.test'],
] as const)('host: %s goes by the name that was asked for', async (host, expected) => {
  const backend = await answering((response, request) => response.end(request.headers.host))
  const dns = await dnsServer({ 'A shop.test': { records: ['127.0.0.1'] } })
  const discovery = { type: 'dns', name: 'shop.test', record: 'A', port: backend.port, servers: [dns.address] } as const
  const { port, balancer } = await edge([], { discovery, host })
  await balancer.ready()
  const { body } = await send(port)
  expect(body).toBe(expected(backend.port))
})

it('a backend that DNS has found is served by the name that was asked for', async () => {
  const dns = await dnsServer({ 'A shop.test': { records: ['10.0.0.1'] } })
  const discovery = { type: 'dns', name: 'shop.test.', record: 'A', servers: [dns.address] } as const
  const w = watched({ backends: [], discovery, clock: fakeClock() })
  await w.balancer.ready()
  expect(w.of('topology.changed')[0].discovery.after).toMatchObject({ serverName: 'shop.test' })
})

it.each(['10.0.0.1', '::1', 'a b', '', '-a.test', 'a..test'])('%j is no server name', (serverName) => {
  expect(() => watched({ backends: [{ url: 'https://10.0.0.1', serverName }] })).toThrow(BalancerError)
})

// The demo: a balancer over real processes, a crash, changes and refusals; then the story of it, read from its own log.
//
// Run it with `npm run demo`. The log is written to ./demo-audit, anew each time; another folder can be named, which must
// not exist yet: `node examples/demo/demo.mjs DIR`. It exits with 1 if anything did not come out as it should.
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { createBalancer, fileSink, verifyLog } from 'auditlb'
import { createServer } from 'auditlb/node'
import { checks } from './checks.mjs'
import { Fleet } from './fleet.mjs'
import { bold, dim, green, heading, item, plural, red, say, seconds } from './paint.mjs'
import { readStory } from './story.mjs'
import { knock, smuggle, strangerAddress } from './strangers.mjs'
import { tell } from './tell.mjs'
import { Traffic } from './traffic.mjs'

const root = join(import.meta.dirname, '..', '..')
const [given] = process.argv.slice(2)
const dir = given ?? join(root, 'demo-audit')
if (given === undefined) rmSync(dir, { recursive: true, force: true })
mkdirSync(dir)

const fleet = new Fleet()
process.on('exit', () => fleet.stop())

const stranger = await strangerAddress()
const balancer = createBalancer({
  name: 'demo',
  backends: await Promise.all(['b1', 'b2', 'b3'].map((id) => fleet.start(id))),
  health: {
    active: { path: '/healthz', intervalMs: 150, timeoutMs: 1000, fall: 2, rise: 2 },
    passive: { ejectionMs: 500 },
  },
  access: { deny: [stranger] },
  control: { authorize: (actor) => actor.id !== 'intern' },
  audit: { sinks: [fileSink({ dir })] },
})
await balancer.ready()

const servers = []
const port = await listen('127.0.0.1')
const strangersPort = stranger === '::1' ? await listen('::1') : port

say(
  `${bold('auditlb demo')}: three backends behind http://127.0.0.1:${port}, under the strategy ${balancer.snapshot().strategy}`,
)
const began = performance.now()
const step = (text) => item(`${dim(`${((performance.now() - began) / 1000).toFixed(2)} s`.padStart(7))}  ${text}`)

heading('What happens')
const traffic = new Traffic(`http://127.0.0.1:${port}`)
traffic.start()
step('clients send GET and POST requests, 24 at a time')
await traffic.more(600)

await fleet.kill('b2')
step('b2 is killed, with requests on it')
await until(() => state('b2').active === 'unhealthy')
step('b2 gets no more picks; the others carry on')
await traffic.more(600)
await fleet.bringBack('b2')
step('b2 is started again on its port')

const alice = balancer.as({ id: 'alice', type: 'user', auth: 'oidc' })
await alice.addBackend(await fleet.start('b4'), { message: 'more room for the evening', ticket: 'OPS-7' })
step('alice adds b4')
const intern = balancer.as({ id: 'intern', type: 'user' })
await intern
  .setWeight('b4', 100, { message: 'make it faster' })
  .catch((error) => step(`intern is refused: ${error.message}`))
const bot = balancer.as({ id: 'deploy-bot', type: 'service', auth: 'mtls' })
await bot.setWeight('b1', 3, { message: 'b1 has more cores now' })
step('deploy-bot triples the weight of b1')
await bot.drain('b3', { message: 'kernel update', ticket: 'OPS-8', wait: true })
step('deploy-bot drains b3, and waits until nothing is in flight there')

const refusals = { stranger: await knock(strangersPort, stranger), smuggler: await smuggle(port) }
step(`a client at ${stranger} is cut off, and a smuggled request is refused`)

await until(() => state('b2').eligible)
step('b2 has shown that it is well, and serves again')
await bot.undrain('b3', { message: 'kernel update done', ticket: 'OPS-8' })
await traffic.finish(3000)
step(`${plural(traffic.count, 'request')} done; everything is closed in order`)
for (const server of servers) server.close()
await balancer.close()
fleet.stop()

const story = await readStory(dir)
const verified = await verifyLog(dir)
say(
  `\n${bold('What the log says')} ${dim(`(${plural(story.events, 'event')}, read back from ${relative(process.cwd(), dir) || dir})`)}`,
)
tell(story)

heading('What was checked')
const results = checks({ story, seen: traffic.seen, verified, refusals })
for (const [sentence, holds] of results) item(`${holds ? green('holds         ') : red('DOES NOT HOLD ')} ${sentence}`)
for (const { instance, logs } of verified.instances) {
  for (const { log, signed, root } of logs)
    item(dim(`${instance}/${log}: ${plural(signed, 'line')} signed, root ${root}`))
}

const shown = relative(process.cwd(), dir)
const command = `node ${relative(process.cwd(), join(root, 'dist', 'cli.js'))}`
heading('Try next')
for (const rest of [
  `verify ${shown}`,
  `query ${shown} --type 'config.*'`,
  `query ${shown} --type access.denied --json`,
])
  item(`${command} ${rest}`)
say(`\n${dim(`took ${seconds((performance.now() - began) * 1000)}`)}`)
process.exitCode = results.every(([, holds]) => holds) ? 0 : 1

/** Opens the balancer to clients at this address of the machine. */
async function listen(host) {
  const server = createServer(balancer).listen(0, host)
  await once(server, 'listening')
  servers.push(server)
  return server.address().port
}

/** What the balancer knows of a backend now. */
function state(id) {
  return balancer.snapshot().backends.find((backend) => backend.id === id)
}

/** Resolves once this holds; it is looked at after each change of health. */
async function until(holds) {
  while (!holds()) {
    await new Promise((resolve) => {
      const once = () => {
        balancer.audit.off('backend.health_changed', once)
        resolve()
      }
      balancer.audit.on('backend.health_changed', once)
    })
  }
}

// A node that sends its log to a witness, which runs as a process of its own. The node's folder is put back to an older
// state: it still verifies by itself, and the witness names it.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createAudit, fileSink, witnessSink } from 'auditlb'
import { createServer, createWitness } from 'auditlb/witness'

const token = process.env.WITNESS_TOKEN ?? 'only-an-example-of-a-token'
const work = process.env.AUDIT_DIR ?? mkdtempSync(join(tmpdir(), 'auditlb-'))

if (process.argv[2] === 'witness') await beWitness(process.argv[3])
else await beNode()

/** The central place. */
async function beWitness(dir) {
  const witness = createWitness({ dir, tokens: [token] })
  const vkey = await witness.ready()
  const server = createServer(witness).listen(process.env.PORT ?? 0, '127.0.0.1')
  await once(server, 'listening')
  console.log(JSON.stringify({ url: `http://127.0.0.1:${server.address().port}`, vkey }))
  process.on('SIGTERM', async () => {
    server.close()
    server.closeAllConnections()
    await witness.close()
  })
}

async function beNode() {
  const [audit, older, central] = ['audit', 'older', 'witness'].map((name) => join(work, name))
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'witness', central], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  const { url, vkey } = JSON.parse(line)
  console.log(`the witness is at ${url}`)

  await run(audit, url, vkey, 'ordered a book')
  cpSync(audit, older, { recursive: true })
  await run(audit, url, vkey, 'moved a million')
  // What the witness has seen of all nodes, kept where this node cannot change it.
  const seen = join(work, 'roster.json')
  const answer = await fetch(`${url}/roster`, { headers: { authorization: `Bearer ${token}` } })
  writeFileSync(seen, await answer.text())
  say('the folder of the node', verify(audit, '--roster', seen))
  say('the folder of the witness', verify(central))

  // Somebody wants the second run undone.
  rmSync(audit, { recursive: true })
  cpSync(older, audit, { recursive: true })
  say('rolled back, by itself', verify(audit))
  say('rolled back, with the roster', verify(audit, '--roster', seen))

  child.kill('SIGTERM')
  await once(child, 'exit')
  if (process.env.AUDIT_DIR === undefined) rmSync(work, { recursive: true })
}

/** One life of the node. */
async function run(dir, url, vkey, what) {
  const trail = createAudit({
    service: 'shop',
    sinks: [fileSink({ dir, instance: 'host.0' }), witnessSink({ url, token, vkey, intervalMs: 50 })],
  })
  await trail.ready()
  trail.record('app.done', { what })
  const { undelivered } = await trail.close()
  console.log(`${what}; not delivered: ${JSON.stringify(undelivered)}`)
}

function verify(...args) {
  const command = join(dirname(createRequire(import.meta.url).resolve('auditlb/package.json')), 'dist', 'cli.js')
  return spawnSync(process.execPath, [command, 'verify', ...args], { encoding: 'utf8' })
}

function say(what, { status, stdout }) {
  const why = stdout
    .split('\n')
    .find((line) => line.includes('put back'))
    ?.trim()
  console.log(
    `${what}: exit code ${status}, ${stdout.trim().split('\n').at(-1)}${why === undefined ? '' : `\n  ${why}`}`,
  )
}

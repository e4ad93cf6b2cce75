// A witness that is killed at any point keeps what it answered for, and goes on with what it has.
import { once } from 'node:events'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { verifyLog } from '../../../src/log/verify.ts'
import { seededRandom } from '../../../src/random.ts'
import { tempFolder } from '../../support/folder.ts'
import { bundle, type Program, start } from '../../support/program.ts'
import { scaled } from '../../support/scale.ts'
import { SentLog, token } from '../../support/witness.ts'

let program: Awaited<ReturnType<typeof bundle>>
beforeAll(async () => {
  program = await bundle('test/support/witness-program.ts')
})
afterAll(() => program.remove())

it('loses nothing that it answered, over many kills at any point', async () => {
  const dir = tempFolder()
  const kills = scaled(200, 8)
  const random = seededRandom(11)
  let running: Program = start(program.path, dir, token)
  let port = await running.said('listening')
  const logs = [0, 1, 2].map((i) => new SentLog(`http://127.0.0.1:${port}`, 'traffic', `shop/host.${i}`))
  const answered = logs.map(() => 0)
  const cosigned = logs.map(() => 0)
  let killed = 0
  for (let turn = 0; killed < kills; turn++) {
    const place = turn % logs.length
    const old = logs[place]!
    // The port changes with each start.
    const log = Object.assign(new SentLog(`http://127.0.0.1:${port}`, 'traffic', old.writer, old.id, old.signer), {
      lines: old.lines,
    }).make(1 + (random.uint32() % 40))
    logs[place] = log
    const from = Math.max(0, answered[place]! - (random.uint32() % 5))
    const attempt = (async () => {
      const sent = await log.send(from)
      // What was not answered may be there or not.
      if (sent.status === 200) answered[place] = sent.json.size
      if (sent.status === 200 && (await log.checkpoint()).status === 200) cosigned[place] = log.lines.length
      return sent.status
    })().catch(() => 0)
    if (random.uint32() % 3 === 0) {
      const delay = random.uint32() % 12
      for (const end = performance.now() + delay; performance.now() < end; )
        await new Promise((resolve) => setImmediate(resolve))
      running.child.kill('SIGKILL')
      await once(running.child, 'close')
      await attempt
      killed++
      running = start(program.path, dir, token)
      port = await running.said('listening')
      for (const one of logs) (one as { url: string }).url = `http://127.0.0.1:${port}`
    } else expect(await attempt).toBe(200)
  }
  for (const [i, log] of logs.entries()) {
    const { json } = await log.send(Math.max(0, log.lines.length - 1))
    const size: number = json.error === 'gap' ? json.size : log.lines.length
    expect(size).toBeGreaterThanOrEqual(answered[i]!)
    // All that is there is what was sent.
    if (size > 0) expect((await log.send(0, size)).status).toBe(200)
    expect((await log.send(size, log.lines.length)).status).toBe(size < log.lines.length ? 200 : 400)
    expect((await log.checkpoint()).status).toBe(200)
    expect(log.lines.length).toBeGreaterThanOrEqual(cosigned[i]!)
  }
  const report = await verifyLog(dir)
  expect(report).toMatchObject({ ok: true })
  expect(report.instances.map(({ logs: [one] }) => one!.signed)).toEqual(logs.map(({ lines }) => lines.length))
}, 900_000)

// The roster: who speaks, who has ended, who fell silent, who shrank.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { describe, expect, it } from 'vitest'
import { fakeClock } from '../support/fake-clock.ts'
import { tempFolder } from '../support/folder.ts'
import { newSigner } from '../support/hand-log.ts'
import { until } from '../support/until.ts'
import { post, SentLog, startWitness, token } from '../support/witness.ts'

const minute = 60_000

/** A line of a boot. The place is written over what `lineAt` makes. */
async function say(log: SentLog, id: string, name = 'request.completed'): Promise<void> {
  const index = log.lines.length
  log.make(1, { audit: { boot_id: id, index, origin: log.origin }, event_name: name })
  expect((await log.send(index)).status).toBe(200)
}

describe('the roster', () => {
  it('tells of each log what was seen, as verification reads it, and only to whom may ask', async () => {
    const clock = fakeClock()
    const { url, dir, witness, vkey } = await startWitness({ dir: tempFolder(), clock })
    const log = new SentLog(url).make(5)
    await log.send()
    await log.checkpoint(log.note(3))
    expect((await fetch(`${url}/roster`)).status).toBe(401)
    const roster = await (await fetch(`${url}/roster`, { headers: { authorization: `Bearer ${token}` } })).json()
    expect(roster).toEqual(witness.roster())
    expect(roster).toEqual({
      origins: {
        [log.origin]: {
          size: 3,
          root: log.note(3).split('\n')[2],
          lines: 5,
          last_seen: '2026-01-01T00:00:00.000Z',
          state: 'open',
          vkey: log.signer.vkey,
          note: expect.stringContaining(`— ${vkey.split('+')[0]} `),
        },
      },
    })
    clock.advance(1000)
    await until(() => {
      const file = join(dir, 'roster.json')
      return existsSync(file) && isDeepStrictEqual(JSON.parse(readFileSync(file, 'utf8')), roster)
    })
  })

  it('names who fell silent, once, and who speaks again', async () => {
    const clock = fakeClock()
    const { url, witness, changes, told } = await startWitness({ dir: tempFolder(), clock })
    const signer = newSigner('shop/host.0')
    const [traffic, control] = (['traffic', 'control'] as const).map(
      (log) => new SentLog(url, log, 'shop/host.0', '00aa', signer),
    )
    const other = new SentLog(url, 'traffic', 'shop/host.1')
    await say(traffic!, 'b1')
    await say(control!, 'b1')
    await say(other, 'b2')
    // One heartbeat a minute speaks for all logs of a writer.
    for (let i = 0; i < 5; i++) {
      clock.advance(minute)
      await say(control!, 'b1', 'audit.heartbeat')
    }
    expect(changes.filter(({ to }) => to === 'silent')).toMatchObject([{ origin: other.origin, from: 'open' }])
    clock.advance(3 * minute)
    expect(changes.filter(({ to }) => to === 'silent').map(({ origin }) => origin)).toEqual([
      other.origin,
      traffic!.origin,
      control!.origin,
    ])
    await say(control!, 'b1')
    const states = Object.values(witness.roster().origins).map(({ state }) => state)
    expect(states).toEqual(['open', 'open', 'silent'])
    expect(told.filter((one) => one === 'a log fell silent')).toHaveLength(3)
    expect(told.filter((one) => one === 'a log speaks again')).toHaveLength(2)
  })

  it('knows who has ended in order from who fell silent, whatever order the logs come in', async () => {
    const clock = fakeClock()
    const { url, witness, changes } = await startWitness({ dir: tempFolder(), clock })
    const signer = newSigner('shop/host.0')
    const [traffic, control] = (['traffic', 'control'] as const).map(
      (log) => new SentLog(url, log, 'shop/host.0', '00aa', signer),
    )
    await say(traffic!, 'b1')
    await say(control!, 'b1')
    await say(control!, 'b1', 'audit.closed')
    await say(traffic!, 'b1')
    const states = () => Object.values(witness.roster().origins).map(({ state }) => state)
    // Anybody who may send could have sent that line.
    expect(states()).toEqual(['open', 'open'])
    expect((await control!.checkpoint()).status).toBe(200)
    clock.advance(10 * minute)
    expect(states()).toEqual(['closed', 'closed'])
    // The next boot.
    await say(control!, 'b2', 'audit.opened')
    expect(states()).toEqual(['open', 'open'])
    clock.advance(10 * minute)
    expect(states()).toEqual(['silent', 'silent'])
    expect(changes.map(({ to }) => to)).toEqual([
      'open',
      'open',
      'closed',
      'closed',
      'open',
      'open',
      'silent',
      'silent',
    ])
  })

  it('does not take for an end what nobody has signed', async () => {
    const clock = fakeClock()
    const { url, witness } = await startWitness({ dir: tempFolder(), clock })
    const control = new SentLog(url, 'control')
    await say(control, 'b1')
    expect((await control.checkpoint()).status).toBe(200)
    await say(control, 'b1', 'audit.closed')
    clock.advance(10 * minute)
    expect(Object.values(witness.roster().origins).map(({ state }) => state)).toEqual(['silent'])
  })

  it('outlives a restart, and a witness that was away blames nobody for it', async () => {
    const clock = fakeClock()
    const dir = tempFolder()
    const first = await startWitness({ dir, clock })
    const ended = new SentLog(first.url, 'control', 'shop/host.1')
    const speaks = new SentLog(first.url)
    await say(speaks, 'b1')
    await say(ended, 'b2', 'audit.closed')
    expect((await ended.checkpoint()).status).toBe(200)
    const seen = first.witness.roster()
    await first.close()
    clock.advance(60 * minute)
    const second = await startWitness({ dir, clock })
    expect(second.witness.roster()).toEqual(seen)
    clock.advance(minute)
    expect(second.changes).toEqual([])
    clock.advance(2 * minute)
    expect(second.changes).toMatchObject([{ origin: speaks.origin, from: 'open', to: 'silent' }])
  })

  it('does not forget what was rewritten by a restart', async () => {
    const dir = tempFolder()
    const first = await startWitness({ dir })
    const log = new SentLog(first.url).make(5)
    await log.send()
    const other = new SentLog(first.url).make(5, { other: true })
    expect((await other.send()).status).toBe(409)
    const seen = first.witness.roster()
    await first.close()
    const second = await startWitness({ dir })
    expect(second.witness.roster()).toEqual(seen)
    expect(Object.values(seen.origins)[0]).toMatchObject({
      state: 'shrunk',
      fault: 'line 0 is another one than before',
    })
  })

  it('harms nobody when a listener fails', async () => {
    const test = await startWitness({ dir: tempFolder() })
    test.witness.on('origin', () => {
      throw new Error('a listener')
    })
    test.witness.on('origin', async () => {
      throw new Error('another')
    })
    const log = new SentLog(test.url).make(1)
    expect((await log.send()).status).toBe(200)
    await until(() => test.told.length === 2)
    const heard: unknown[] = []
    const listener = (change: unknown) => heard.push(change)
    test.witness.on('origin', listener)
    test.witness.off('origin', listener)
    await new SentLog(test.url, 'control').make(1).send()
    expect(heard).toEqual([])
  })
})

describe('who may send', () => {
  const tokens = [
    { token: 'the-token-of-the-shop', origins: ['shop/*'] },
    { token: 'the-token-of-who-reads', send: false },
  ]
  const as = (name: string) => ({ authorization: `Bearer ${name}` })

  it('is who has a token, for the writers that it is bound to', async () => {
    const { url, refusals } = await startWitness({ dir: tempFolder(), tokens })
    const [shop, cart] = [new SentLog(url).make(1), new SentLog(url, 'traffic', 'cart/host.0').make(1)]
    expect((await shop.send(0, 1, as('the-token-of-the-shop'))).status).toBe(200)
    expect((await cart.send(0, 1, as('the-token-of-the-shop'))).status).toBe(403)
    expect((await shop.send(0, 1, as('the-token-of-who-reads'))).status).toBe(403)
    expect((await shop.send(0, 1, as('a-token-of-nobody'))).status).toBe(401)
    expect((await shop.send(0, 1, { authorization: 'Basic x' })).status).toBe(401)
    expect(refusals.map(({ code }) => code)).toEqual(['not-allowed', 'not-allowed', 'token-unknown', 'token-unknown'])
    expect(JSON.stringify(refusals)).not.toContain('a-token-of-nobody')
  })

  it('sees in the roster what it may send', async () => {
    const own = [...tokens, token]
    const { url } = await startWitness({ dir: tempFolder(), tokens: own })
    for (const writer of ['shop/host.0', 'cart/host.0']) await new SentLog(url, 'traffic', writer).make(1).send()
    const seen = async (name: string) => {
      const response = await fetch(`${url}/roster`, { headers: as(name) })
      return Object.keys(((await response.json()) as { origins: object }).origins)
    }
    expect(await seen('the-token-of-the-shop')).toEqual(['shop/host.0/traffic/00aa'])
    expect(await seen('the-token-of-who-reads')).toHaveLength(2)
  })

  it('is for the host to say where there are no tokens', async () => {
    const asked: unknown[] = []
    const { url } = await startWitness({
      dir: tempFolder(),
      tokens: [],
      authorize: async (request, wish) => asked.push([request.headers['x-node'], wish]) < 3,
    })
    const log = new SentLog(url).make(1)
    expect((await log.send(0, 1, { 'x-node': 'n1' })).status).toBe(200)
    expect((await fetch(`${url}/roster`)).status).toBe(200)
    expect((await fetch(`${url}/roster`)).status).toBe(403)
    expect(asked.slice(0, 2)).toEqual([
      ['n1', { action: 'send', origin: log.origin }],
      [undefined, { action: 'roster' }],
    ])
  })

  it('begins only so many logs in a time', async () => {
    const clock = fakeClock()
    const { url } = await startWitness({ dir: tempFolder(), clock, limits: { newOrigins: 2, origins: 4 } })
    const begin = (i: number) => new SentLog(url, 'traffic', `shop/host.${i}`).make(1).send()
    expect([(await begin(0)).status, (await begin(1)).status]).toEqual([200, 200])
    const refused = await begin(2)
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '60'])
    expect((await begin(0)).status).toBe(200)
    clock.advance(10 * minute)
    expect([(await begin(2)).status, (await begin(3)).status]).toEqual([200, 200])
    clock.advance(10 * minute)
    expect((await begin(4)).status).toBe(429)
  })
})

describe('a trail', () => {
  it('gets what a witness finds, and a flood of refusals as one with their number', async () => {
    const clock = fakeClock()
    const recorded: [string, { witness: { count?: number; code?: string; to?: string } }][] = []
    const audit = { record: (name: string, fields: object) => void recorded.push([name, fields as never]) }
    const { url } = await startWitness({ dir: tempFolder(), clock, audit })
    await new SentLog(url).make(1).send()
    for (let i = 0; i < 30; i++) await post(`${url}/lines`, { authorization: 'Bearer nobody' }, 'x')
    for (let i = 0; i < 30; i++)
      await new SentLog(url, 'traffic', 'shop/host.9').make(1).send(0, 1, { authorization: 'Bearer nobody' })
    clock.advance(1000)
    await new SentLog(url, 'traffic', 'shop/host.9').make(1).send(0, 1, { authorization: 'Bearer nobody' })
    expect(recorded[0]).toEqual([
      'witness.origin_changed',
      { witness: expect.objectContaining({ from: 'absent', to: 'open' }) },
    ])
    const refusals = recorded.filter(([name]) => name === 'witness.refused')
    expect(refusals).toHaveLength(11)
    expect(refusals.at(-1)![1]).toMatchObject({
      witness: { code: 'token-unknown', count: 51 },
      network: { peer: { address: '127.0.0.1' } },
    })
  })
})

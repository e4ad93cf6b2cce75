// Never two processes under one name, and a dead one gives it free.

import { existsSync, mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { claimInstance } from '../../src/log/instance.ts'
import { verifyLog } from '../../src/log/verify.ts'
import { bootId, host, pid, pidNamespace, processStart } from '../../src/runtime.ts'
import { tempFolder } from '../support/folder.ts'
import { openLog } from '../support/log.ts'
import { bundle, start } from '../support/program.ts'

describe('within one process', () => {
  it('each claim gets the next slot, and a released one is free again', async () => {
    const dir = tempFolder()
    const one = await claimInstance(dir)
    const two = await claimInstance(dir)
    expect([one.name, two.name]).toEqual([`${host()}.0`, `${host()}.1`])
    await one.release()
    expect((await claimInstance(dir)).name).toBe(`${host()}.0`)
  })

  it('a given name that is held is refused', async () => {
    const dir = tempFolder()
    await claimInstance(dir, 'edge')
    await expect(claimInstance(dir, 'edge')).rejects.toMatchObject({ code: 'instance-held' })
  })

  it('many claims at once all get another slot', async () => {
    const dir = tempFolder()
    const names = (await Promise.all(Array.from({ length: 20 }, () => claimInstance(dir)))).map((one) => one.name)
    expect(new Set(names).size).toBe(20)
  })
})

it.each([
  ['traffic', 'traffic.0'],
  ['traffic.aside-1', 'host-traffic.aside-1.0'],
])('on a host called %s it is %s', async (host, name) => {
  const hosts = vi.spyOn(os, 'hostname').mockReturnValue(host)
  syncBuiltinESMExports()
  onTestFinished(() => {
    hosts.mockRestore()
    syncBuiltinESMExports()
  })
  expect((await claimInstance(tempFolder())).name).toBe(name)
})

it('a lock that cannot be removed is told, and the log closes', async () => {
  const dir = tempFolder()
  const log = await openLog({ dir, instance: 'a' })
  log.write('traffic', 3)
  const lock = join(dir, 'a/lock')
  unlinkSync(lock)
  mkdirSync(lock)
  expect(await log.close()).toEqual({ unwritten: 0 })
  expect(log.told).toEqual(['the lock of the log cannot be removed: it stays until the process ends'])
  expect(await verifyLog(dir)).toMatchObject({ ok: true })
})

describe('a dead lock is taken over', () => {
  const cases: [string, string][] = [
    ['of a process that is gone', JSON.stringify({ pid: 2 ** 22 + 1, nonce: '1' })],
    ['of another boot', JSON.stringify({ pid, start: processStart(pid), boot: 'another', nonce: '1' })],
    ['of another process with the same id', JSON.stringify({ pid, start: '1', boot: bootId(), nonce: '1' })],
    ['of this host before it was booted', JSON.stringify({ pid, host: host(), ns: 'pid:[1]', boot: 'x', nonce: '1' })],
    ['that a power loss emptied', ''],
    ['that is not a lock', 'null'],
  ]
  it.each(cases)('%s', async (_, text) => {
    const dir = tempFolder()
    const { release } = await claimInstance(dir, 'edge')
    await release()
    writeFileSync(join(dir, 'edge', 'lock'), text)
    // All at once: one may win.
    const claims = await Promise.allSettled(Array.from({ length: 10 }, () => claimInstance(dir, 'edge')))
    expect(claims.filter((one) => one.status === 'fulfilled')).toHaveLength(1)
    expect(JSON.parse(readFileSync(join(dir, 'edge', 'lock'), 'utf8'))).toMatchObject({ pid })
    expect(readdirSync(join(dir, 'edge'))).toEqual(['lock'])
  })
})

describe('a lock whose holder cannot be seen from here is held', () => {
  const own = { pid, start: processStart(pid), boot: bootId(), host: host(), ns: pidNamespace(), nonce: '1' }
  const gone = { ...own, pid: 2 ** 22 + 1, start: '1' }
  const cases: [string, object, string][] = [
    ['of another host', { ...gone, host: 'elsewhere' }, `process ${gone.pid} on elsewhere`],
    ['of another host, which was booted by itself', { ...gone, host: 'elsewhere', boot: 'another' }, 'on elsewhere'],
    [
      'of another pid namespace',
      { ...gone, ns: 'pid:[1]' },
      `process ${gone.pid} on ${host()}, in another pid namespace`,
    ],
  ]
  it.each(cases)('%s', async (_, holder, named) => {
    const dir = tempFolder()
    for (const name of ['edge', `${host()}.0`]) {
      const { release } = await claimInstance(dir, name)
      await release()
      writeFileSync(join(dir, name, 'lock'), JSON.stringify(holder))
    }
    await expect(claimInstance(dir, 'edge')).rejects.toMatchObject({
      code: 'instance-held',
      message: expect.stringContaining(named),
    })
    expect((await claimInstance(dir)).name).toBe(`${host()}.1`)
    expect(JSON.parse(readFileSync(join(dir, 'edge', 'lock'), 'utf8'))).toEqual(holder)
  })

  it('and a lock tells what is needed for that', async () => {
    const dir = tempFolder()
    await claimInstance(dir, 'edge')
    const { nonce: _, ...facts } = JSON.parse(readFileSync(join(dir, 'edge', 'lock'), 'utf8'))
    const { nonce: __, ...expected } = own
    expect(facts).toEqual(expected)
  })
})

describe('between processes', () => {
  let program: Awaited<ReturnType<typeof bundle>>
  beforeAll(async () => {
    program = await bundle('test/support/hold-program.ts')
  }, 60_000)
  afterAll(() => program.remove())

  it('slots are apart, and those of a killed process are free again', async () => {
    const dir = tempFolder()
    const programs = Array.from({ length: 4 }, () => start(program.path, dir))
    const names = await Promise.all(programs.map((one) => one.said('holds')))
    expect(names.toSorted()).toEqual([0, 1, 2, 3].map((slot) => `${host()}.${slot}`))
    const killed = names.indexOf(`${host()}.1`)
    programs[killed]!.child.kill('SIGKILL')
    await programs[killed]!.ended
    expect(existsSync(join(dir, `${host()}.1`, 'lock'))).toBe(true)
    expect(await start(program.path, dir).said('holds')).toBe(`${host()}.1`)
  })

  it('a name that another process holds is refused', async () => {
    const dir = tempFolder()
    await start(program.path, dir, 'edge').said('holds')
    expect(await start(program.path, dir, 'edge').said('refused')).toBe('instance-held')
  })
})

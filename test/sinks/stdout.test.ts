// stdoutSink in a process of its own, and against a pipe that is slow or breaks.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { canonical } from '../../src/canonical.ts'
import { stdout } from '../../src/runtime.ts'
import type { Batch, SignedCheckpoint, Sink } from '../../src/sink.ts'
import { stdoutSink } from '../../src/sinks/stdout.ts'
import { tempFolder } from '../support/folder.ts'
import { bundle, start } from '../support/program.ts'
import { batchOf, sample } from '../support/sample-events.ts'
import { until } from '../support/until.ts'

describe('in a process', () => {
  let program: Awaited<ReturnType<typeof bundle>>
  beforeAll(async () => {
    program = await bundle('test/support/stdout-program.ts')
  })
  afterAll(() => program.remove())

  it('writes one line of canonical JSON for each event when nobody reads it on a terminal', async () => {
    const { code, stdout, stderr } = await start(program.path, 'auto', '50').ended
    expect([code, stderr]).toEqual([0, 'undelivered 0\n'])
    const lines = stdout.split('\n').slice(0, -1)
    const events = lines.map((line) => JSON.parse(line))
    lines.forEach((line, i) => {
      expect(canonical(events[i])).toBe(line)
    })
    expect(events.filter(({ event_name }) => event_name === 'app.x').map(({ app }) => app.i)).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    )
    expect(events.map(({ event_name }) => event_name)).toContain('audit.closed')
  })

  it('a line that is too long for a container comes in chunks', async () => {
    const { code, stdout } = await start(program.path, 'json', '3', '9000').ended
    expect(code).toBe(0)
    const lines = stdout.split('\n').slice(0, -1)
    for (const line of lines) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(4096)
    const chunks = lines.map((line) => JSON.parse(line).chunk).filter((chunk) => chunk !== undefined)
    const whole = new Map<string, string>()
    for (const { of, part, text } of chunks) {
      expect(part === 1).toBe(!whole.has(of))
      whole.set(of, (whole.get(of) ?? '') + text)
    }
    expect([...whole.values()].map((line) => JSON.parse(line).app.i)).toEqual([0, 1, 2])
    for (const [of, line] of whole) {
      const { audit } = JSON.parse(line)
      expect(of).toBe(`${audit.origin}/${audit.index}`)
    }
  })

  it('what it writes can be verified as it comes, chunks and all', async () => {
    const { stdout } = await start(program.path, 'json', '20', '9000').ended
    const verify = (log: string): number | null =>
      spawnSync(process.execPath, ['dist/cli.js', 'verify', '-'], { input: log }).status
    expect(verify(stdout)).toBe(0)
    expect(verify(stdout.replace(/("part":2,.*?)xe9/, '$1xe8'))).toBe(1)
  })

  it('writes a short text for each event where that is asked for', async () => {
    const { code, stdout } = await start(program.path, 'readable', '3', '9000').ended
    expect(code).toBe(0)
    const lines = stdout.split('\n').slice(0, -1)
    expect(lines.length).toBeGreaterThanOrEqual(4)
    for (const line of lines) expect(() => JSON.parse(line)).toThrow()
    expect(lines.filter((line) => line.includes('app.x'))).toHaveLength(3)
  })

  it('a reader that goes away does not end the process; what it did not get is counted', async () => {
    const { child, ended } = start(program.path, 'json', '5000')
    child.stdout!.destroy()
    const { code, stderr } = await ended
    expect(code).toBe(0)
    expect(stderr).toMatch(/an audit sink fails/)
    expect(Number(/undelivered (\d+)/.exec(stderr)![1])).toBeGreaterThan(0)
  })

  it('a reader that goes away after the trail was closed does not end the process either', async () => {
    const child = spawn(process.execPath, [program.path, 'json', '2000'], { stdio: ['ignore', 'pipe', 'pipe'] })
    let said = ''
    child.stderr.on('data', (part) => {
      said += part
    })
    await until(() => said.includes('undelivered'))
    child.stdout.destroy()
    const [code] = await once(child, 'close')
    expect(code).toBe(0)
  })

  /** Writes to a file that takes no more than 40 KiB until `told`, which may write to it, too. */
  const limited = async (args: readonly string[], told: (out: string) => void) => {
    const out = join(tempFolder(), 'out')
    const shell = ['-c', 'ulimit -S -f 40 && exec "$0" "$@" >> "$OUT"', process.execPath, program.path, 'json', ...args]
    const child = spawn('bash', shell, { env: { ...process.env, OUT: out }, stdio: ['pipe', 'ignore', 'pipe'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    let said = ''
    child.stderr.on('data', (part) => {
      said += part
    })
    await until(() => said.includes('an audit sink fails'))
    expect(statSync(out).size).toBe(40 * 1024)
    told(out)
    execFileSync('prlimit', ['--pid', String(child.pid), '--fsize=unlimited'])
    child.stdin.write('go on')
    const [code] = await once(child, 'close')
    expect([code, said]).toEqual([0, expect.stringContaining('undelivered 0')])
    return readFileSync(out, 'utf8')
  }

  it('a file that takes only a part of what is written gets the rest when there is room, and verifies', async () => {
    const written = await limited(['20', '9000', 'told'], () => undefined)
    const { status, stdout } = spawnSync(process.execPath, ['dist/cli.js', 'verify', '-'], { input: written })
    expect([status, String(stdout)]).toEqual([0, expect.stringMatching(/traffic\/\w+: lines 0 to 19, 20 checked/)])
  })

  it('a line that is torn comes again where somebody else has written behind it, and none besides', async () => {
    const written = await limited(['200', '3', 'told'], (out) => appendFileSync(out, 'of the host\n'))
    const rows = written.split('\n').slice(0, -1)
    const others = rows.filter((row) => !row.endsWith('}'))
    expect(others).toEqual([expect.stringMatching(/of the host$/), ''])
    const events = rows.filter((row) => !others.includes(row)).map((row) => JSON.parse(row))
    expect(events.filter(({ event_name }) => event_name === 'app.x').map(({ app }) => app.i)).toEqual(
      Array.from({ length: 200 }, (_, i) => i),
    )
  })
})

describe('a pipe', () => {
  const writes: { text: string; back: (error?: Error) => void }[] = []
  beforeEach(() => {
    writes.length = 0
    vi.spyOn(stdout, 'write').mockImplementation(((text: string, back: () => void) => {
      writes.push({ text, back })
      return false
    }) as never)
  })
  afterEach(() => vi.restoreAllMocks())

  const batch = (first: number, last: number, origin?: string): Batch =>
    batchOf(
      Array.from({ length: last - first + 1 }, () => sample('app.shelved')),
      first,
      origin,
    )
  const textOf = ({ lines }: Batch): string => lines.map((line) => `${line}\n`).join('')
  const never = new AbortController().signal
  const late = async (act: (signal: AbortSignal) => Promise<void>): Promise<void> => {
    const controller = new AbortController()
    const acting = act(controller.signal)
    // The delivery has given it up by now; whatever becomes of it then is nobody's.
    acting.catch(() => undefined)
    await Promise.resolve()
    controller.abort(new Error('too late'))
  }
  const json = (options: Parameters<typeof stdoutSink>[0] = {}): Sink => stdoutSink({ format: 'json', ...options })
  const checkpoint = (size: number): SignedCheckpoint => ({
    origin: 'demo/host-1.0/traffic/9f2c',
    size,
    note: `demo/host-1.0/traffic/9f2c\n${size}\nroot\n\n— demo/host-1.0 sig\n`,
    vkey: 'demo/host-1.0+00000000+AQ',
    edge: ['AAAA', 'BBBB'],
  })

  it('that stalls gets nothing twice, in whatever batches the lines come again', async () => {
    const sink = json()
    await late((signal) => sink.write(batch(0, 4), signal))
    for (let i = 0; i < 3; i++) await late((signal) => sink.write(batch(0, 4), signal))
    const again = sink.write(batch(0, 6), never)
    expect(writes).toHaveLength(1)
    writes[0]!.back()
    await until(() => writes.length === 2)
    expect(writes.map(({ text }) => text)).toEqual([textOf(batch(0, 4)), textOf(batch(5, 6))])
    writes[1]!.back()
    await again
    await sink.write(batch(0, 6), never)
    expect(writes).toHaveLength(2)
  })

  it('that breaks gets them again', async () => {
    const sink = json()
    const first = sink.write(batch(0, 2), never)
    writes[0]!.back()
    await first
    const failing = sink.write(batch(3, 4), never)
    await until(() => writes.length === 2)
    writes[1]!.back(new Error('EPIPE'))
    await expect(failing).rejects.toThrow('EPIPE')
    const again = sink.write(batch(3, 5), never)
    await until(() => writes.length === 3)
    expect(writes[2]!.text).toBe(textOf(batch(3, 5)))
    writes[2]!.back()
    await again
  })

  it('has one write on its way, whatever is handed over', async () => {
    const sink = json()
    const done = [sink.write(batch(0, 1), never), sink.write(batch(0, 1, 'demo/host-1.0/control/1'), never)]
    done.push(sink.checkpoint!(checkpoint(2), never))
    for (let i = 0; i < 3; i++) {
      await until(() => writes.length === i + 1)
      await new Promise((resolve) => setImmediate(resolve))
      expect(writes).toHaveLength(i + 1)
      writes[i]!.back()
    }
    await Promise.all(done)
  })

  it('lines that are kept from the sink are no lines that it has got', async () => {
    const sink = json()
    const whole = batch(0, 9)
    const some = (from: number, ...indexes: number[]): Batch => ({
      ...whole,
      first: from,
      last: 9,
      lines: indexes.map((index) => whole.lines[index]!),
    })
    await late((signal) => sink.write({ ...some(0, 1, 4), last: 5 }, signal))
    writes[0]!.back()
    const again = sink.write(some(0, 1, 4, 7), never)
    await until(() => writes.length === 2)
    expect(writes[1]!.text).toBe(`${whole.lines[7]}\n`)
    writes[1]!.back()
    await again
  })

  it('gets checkpoints as canonical JSON, each once', async () => {
    const sink = json()
    await late((signal) => sink.checkpoint!(checkpoint(5), signal))
    const again = sink.checkpoint!(checkpoint(5), never)
    writes[0]!.back()
    await again
    const next = sink.checkpoint!(checkpoint(6), never)
    await until(() => writes.length === 2)
    writes[1]!.back()
    await next
    const { note, vkey, origin } = checkpoint(5)
    expect(writes[0]!.text).toBe(
      `{"checkpoint":{"edge":["AAAA","BBBB"],"note":${JSON.stringify(note)},"origin":"${origin}","reached":5,"size":5,"vkey":"${vkey}"}}\n`,
    )
    expect(JSON.parse(writes[1]!.text).checkpoint.size).toBe(6)
  })

  it('gets those by which keys handed over, each once and before the one of the next key, and how far it had come', async () => {
    const sink = json()
    const lines = sink.write(batch(0, 9, checkpoint(0).origin), never)
    writes[0]!.back()
    await lines
    const handed = [{ ...checkpoint(5), vkey: 'demo/host-1.0+11111111+AQ', edgeBefore: ['CCCC'] }]
    const told = (text: string) =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).checkpoint)
        .map(({ size, vkey, edgeBefore, reached }) => [size, vkey.split('+')[1], edgeBefore, reached])
    for (const [size, all] of [
      [5, [[5, '11111111', ['CCCC'], 10]]],
      [8, [[8, '00000000', undefined, 10]]],
    ] as const) {
      const writing = sink.checkpoint!({ ...checkpoint(size), handed }, never)
      await until(() => writes.length > 1)
      expect(told(writes[1]!.text)).toEqual(all)
      writes[1]!.back()
      await writing
      writes.length = 1
    }
    const late = json().checkpoint!({ ...checkpoint(8), handed }, never)
    await until(() => writes.length > 1)
    expect(told(writes[1]!.text)).toEqual([
      [5, '11111111', ['CCCC'], 8],
      [8, '00000000', undefined, 8],
    ])
    writes[1]!.back()
    await late
  })

  it('gets the hashes of lines that do not come, each once, and none where some of them are gone', async () => {
    const sink = json({ maxLineBytes: 4096 })
    const { origin } = checkpoint(0)
    const leaves = Array.from({ length: 200 }, (_, i) => Buffer.alloc(32, i))
    await sink.missing!({ origin, first: 10, last: 210, leaves }, never)
    expect(writes).toHaveLength(0)
    const missing = { origin, first: 10, last: 209, leaves }
    const writing = sink.missing!(missing, never)
    const lines = writes[0]!.text.split('\n').slice(0, -1)
    writes[0]!.back()
    await writing
    await sink.missing!(missing, never)
    expect(writes).toHaveLength(1)
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(4096)
    const parts = lines.map((line) => JSON.parse(line).hashes)
    expect(lines.length).toBeGreaterThan(1)
    let next = 10
    for (const { first, leaves: text } of parts) {
      expect(first).toBe(next)
      next += Buffer.from(text, 'base64').length / 32
    }
    expect(Buffer.concat(parts.map((one) => Buffer.from(one.leaves, 'base64')))).toEqual(Buffer.concat(leaves))
  })

  it('gets none where they are not wanted, or nobody could read them', () => {
    expect(json({ checkpoints: false })).not.toHaveProperty('checkpoint')
    expect(json({ checkpoints: false })).not.toHaveProperty('missing')
    expect(stdoutSink({ format: 'readable' }).checkpoint).toBeUndefined()
  })

  it('gets long lines whole where chunks are not wanted', () => {
    const long = batchOf([{ ...sample('app.shelved'), app: { text: 'x'.repeat(60_000) } }])
    void json({ maxLineBytes: false }).write(long, never)
    expect(writes[0]!.text).toBe(textOf(long))
  })
})

it('refuses options that it does not know', () => {
  expect(() => stdoutSink({ format: 'yaml', maxLineBytes: 100, filter: { severity: 0 } } as never)).toThrow(
    /format: expected "auto" or "json" or "readable", got "yaml"\n.*maxLineBytes: expected at least 4096, got 100\n.*filter.severity: expected at least 1, got 0/,
  )
})

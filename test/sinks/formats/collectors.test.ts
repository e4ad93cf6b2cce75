// What Loki, Splunk, Datadog and an OTLP collector are sent, and what their answers mean.
import { expect, it } from 'vitest'
import { formats, httpSink } from '../../../src/index.ts'
import { listen } from '../../support/closing.ts'
import { type Answering, collector, fed } from '../../support/collector.ts'
import { batchOf, sample, samples } from '../../support/sample-events.ts'

const all = batchOf([...samples.values()], 40)

it('loki gets one stream for each service and log, with the time in nanoseconds', () => {
  const { body, contentType } = formats.loki({ labels: { env: 'prod' } })(all)
  const time = `${Date.parse(sample('request.completed').time)}000000`
  expect(contentType).toBe('application/json')
  expect(JSON.parse(body)).toEqual({
    streams: [
      { stream: { env: 'prod', service_name: 'demo', log: 'traffic' }, values: all.lines.map((line) => [time, line]) },
    ],
  })
})

it('loki refuses labels that are none', () => {
  expect(() => formats.loki({ labels: { 'a-b': 'x', ok: 5 as never } })).toThrow(/a-b: .*\n.*ok: expected text, got 5/)
})

it.each<[string, () => unknown, string]>([
  [
    'splunkHec',
    () => formats.splunkHec({ soucetype: 'x' } as never),
    'soucetype: unknown option; the nearest is `sourcetype`',
  ],
  ['splunkHec', () => formats.splunkHec({ index: 5 as never }), 'index: expected text, got 5'],
  ['loki', () => formats.loki({ lables: {} } as never), 'lables: unknown option; the nearest is `labels`'],
  ['datadog', () => formats.datadog({ tag: 'x' } as never), 'tag: unknown option; the nearest is `tags`'],
  ['elasticsearch', () => formats.elasticsearch({ mp: 'ecs' } as never), 'mp: unknown option; the nearest is `map`'],
  ['ndjson', () => formats.ndjson({ map: 'esc' as never }), 'map: expected line or ecs or ocsf or otel, or a function'],
  ['json', () => formats.json({ amp: 'ecs' } as never), 'amp: unknown option; the nearest is `map`'],
  ['json', () => formats.json('ecs' as never), '(the whole): expected an object, got a text of 3 characters'],
  ['otlp', () => formats.otlp({ mapp: 'otel' } as never), 'mapp: unknown option; the nearest is `map`'],
  ['otlp', () => formats.otlp({ map: 'ecs' as never }), 'map: expected "otel", got "ecs"'],
])('%s refuses what is no option of it', (name, make, problem) => {
  const message = expect.stringContaining(`formats.${name} has 1 problem\n  ${problem}`)
  expect(make).toThrow(expect.objectContaining({ code: 'config-invalid', message }))
})

it('splunk gets an event for each line, with its time, host, source and type', () => {
  const { body } = formats.splunkHec({ index: 'audit' })(all)
  const sent = body.split('\n').map((row) => JSON.parse(row))
  expect(sent).toEqual(
    all.lines.map((line) => ({
      time: (Date.parse(JSON.parse(line).time) / 1000).toFixed(3),
      host: 'host-1.0',
      source: all.origin,
      sourcetype: 'auditlb',
      index: 'audit',
      event: JSON.parse(line),
    })),
  )
  // The line stands in it as it is in the log.
  expect(body.split('\n').every((row, i) => row.endsWith(`"event":${all.lines[i]}}`))).toBe(true)
})

it('datadog gets an entry for each line, whose message is the line', () => {
  const entries = JSON.parse(formats.datadog({ tags: 'env:prod' })(all).body)
  expect(entries.map(({ message }: { message: string }) => message)).toEqual(all.lines)
  const first = entries.find(({ ddtags }: { ddtags: string }) => ddtags.includes('request.completed'))
  expect(first).toMatchObject({
    ddsource: 'auditlb',
    ddtags: 'log:traffic,event:request.completed,pool:demo,env:prod',
    hostname: 'host-1.0',
    service: 'demo',
    status: 'info',
    timestamp: sample('request.completed').time,
  })
})

it('a batch of datadog stays within what it takes, whatever stands in the lines', () => {
  const { feed } = httpSink({ url: 'http://127.0.0.1/', format: 'datadog', batchLines: 1000, batchBytes: 2 << 20 })
  const event = { ...sample('app.shelved'), app: { text: '"\\'.repeat(15_000) } }
  const batch = batchOf(Array.from({ length: 33 }, () => event))
  expect(batch.bytes).toBeLessThan(feed!.bytes!)
  expect(batch.bytes).toBeGreaterThan(1_900_000)
  expect(Buffer.byteLength(formats.datadog()(batch).body)).toBeLessThan(5_000_000)
  expect(() => httpSink({ url: 'http://x', format: 'datadog', batchLines: 1001, batchBytes: 3 << 20 })).toThrow(
    /batchLines: expected at most 1000 with datadog.*\n.*batchBytes: expected at most 2097152 with datadog/,
  )
})

async function otlp(answer: Answering) {
  const { server, posts } = collector(answer)
  const sink = httpSink({ url: `http://127.0.0.1:${await listen(server)}/v1/logs`, format: 'otlp' })
  return { posts, ...(await fed(sink)) }
}
const partial =
  (partialSuccess: object): Answering =>
  (response) =>
    response.writeHead(200).end(JSON.stringify({ partialSuccess }))

it('an OTLP collector that refuses some, and does not say which, has refused so many', async () => {
  const { write } = await otlp(partial({ rejectedLogRecords: '2', errorMessage: 'too\u001b[31m long' }))
  const batch = batchOf([sample('request.completed'), sample('config.changed'), sample('audit.gap')])
  const fault = await write(batch)
  expect(fault).toMatchObject({ rejectedCount: 2 })
  expect(fault.rejected).toBeUndefined()
  expect(fault.message).toBe('the collector refused 2 of 3 log records, and does not say which')
})

it('an OTLP collector that refuses all of them has accepted none', async () => {
  const { write } = await otlp(partial({ rejectedLogRecords: 3, errorMessage: 'no such token: hunter2' }))
  const batch = batchOf([sample('request.completed'), sample('config.changed'), sample('audit.gap')], 5)
  const message = 'the collector refused all 3 log records'
  expect(await write(batch)).toMatchObject({ rejected: [5, 6, 7], message })
})

it.each([{}, { partialSuccess: {} }, { partialSuccess: { rejectedLogRecords: '0' } }, { partialSuccess: null }])(
  'the OTLP answer %j accepts all',
  async (answer) => {
    const { logger, write } = await otlp((response) => response.writeHead(200).end(JSON.stringify(answer)))
    expect(await write(batchOf([sample('audit.gap')]))).toBeUndefined()
    expect(logger.told).toEqual([])
  },
)

it('a warning of an OTLP collector is told to the logger, and the lines are accepted', async () => {
  const { logger, write } = await otlp(partial({ errorMessage: 'this endpoint\u001b[31m goes away' }))
  expect(await write(batchOf([sample('audit.gap')]))).toBeUndefined()
  expect(logger.told[0]!.fields.note).toBe('the collector warns: this endpoint\\u{1b}[31m goes away')
})

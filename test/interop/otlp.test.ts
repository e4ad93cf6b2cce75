// OTLP: batches held against the protobuf definitions of the OpenTelemetry protocol 1.9.0.
import { join } from 'node:path'
import protobuf from 'protobufjs'
import { expect, it } from 'vitest'
import { formats, toOtel } from '../../src/index.ts'
import { batchOf, type Sample, sample, samples } from '../support/sample-events.ts'

const definitions = new protobuf.Root()
definitions.resolvePath = (_, target) => join(import.meta.dirname, 'otlp', target)
definitions.loadSync('opentelemetry/proto/collector/logs/v1/logs_service.proto')
const request = definitions.lookupType('opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest')

/** Ids are hex in the JSON of OTLP, and bytes in protobuf. */
const ids = (key: string, value: unknown): unknown =>
  key === 'traceId' || key === 'spanId' ? Buffer.from(value as string, 'hex').toString('base64') : value

/** What a receiver has after the way through the binary form. Throws for what the definitions do not hold. */
function received(json: string): Sample {
  const message = request.fromObject(strict(JSON.parse(json, ids)))
  expect(request.verify(message)).toBeNull()
  const back = request.decode(request.encode(message).finish())
  return request.toObject(back, { longs: String, enums: Number, bytes: String }) as Sample
}

/** `fromObject` passes over what it does not know. */
function strict(value: Sample, type: protobuf.Type = request): Sample {
  for (const [key, inner] of Object.entries(value)) {
    const field = type.fields[key]
    if (field === undefined) throw new Error(`${type.name} has no ${key}`)
    field.resolve()
    if (field.resolvedType instanceof protobuf.Type)
      for (const one of field.repeated ? inner : [inner]) strict(one, field.resolvedType)
  }
  return value
}

const attribute = (record: Sample, key: string): unknown => {
  const found = record.attributes.filter((one: Sample) => one.key === key)
  expect(found.length).toBeLessThanOrEqual(1)
  return found[0]?.value
}

it('decodes, with every event in it, to the same that was sent', () => {
  const batch = batchOf([...samples.values()])
  const { body, contentType } = formats.otlp()(batch)
  expect(contentType).toBe('application/json')
  const { resourceLogs } = received(body)
  const records = resourceLogs.flatMap((one: Sample) => one.scopeLogs.flatMap((scope: Sample) => scope.logRecords))
  expect(records.map((record: Sample) => record.eventName)).toEqual([...samples.keys()])
  expect(records.map((record: Sample) => record.body.stringValue)).toEqual(batch.lines)
  // An empty list is nothing in the binary form.
  const same = (key: string, value: unknown): unknown =>
    key === 'values' && (value as []).length === 0 ? undefined : ids(key, value)
  const sent = JSON.parse(body, same).resourceLogs.flatMap((one: Sample) => one.scopeLogs[0].logRecords)
  expect(records).toEqual(sent)
})

it('tells a request by the names of the semantic conventions', () => {
  const event = {
    ...sample('request.completed'),
    trace_id: 'a'.repeat(31).concat('1'),
    span_id: 'b'.repeat(16),
  } as Sample
  event.url.query = { page: ['2', 'a&b'], token: { length: 12 } }
  event.cloud = { region: 'eu-1', availability_zone: 'eu-1a' }
  const { resourceLogs } = received(formats.otlp()(batchOf([event], 614)).body)
  const [record] = resourceLogs[0].scopeLogs[0].logRecords
  const text = (stringValue: string): object => ({ stringValue })
  expect(resourceLogs[0].resource.attributes).toEqual([
    { key: 'service.instance.id', value: text('host-1.0') },
    { key: 'service.name', value: text('demo') },
    { key: 'cloud.availability_zone', value: text('eu-1a') },
    { key: 'cloud.region', value: text('eu-1') },
  ])
  expect(record).toMatchObject({
    timeUnixNano: `${Date.parse(event.time)}000000`,
    severityNumber: 9,
    severityText: 'INFO',
    eventName: 'request.completed',
    traceId: Buffer.from(event.trace_id, 'hex').toString('base64'),
    spanId: Buffer.from(event.span_id, 'hex').toString('base64'),
  })
  const values = (...all: string[]): object => ({ arrayValue: { values: all.map(text) } })
  expect(attribute(record, 'http.request.method')).toEqual(text('GET'))
  expect(attribute(record, 'http.response.status_code')).toEqual({ intValue: '200' })
  expect(attribute(record, 'url.path')).toEqual(text('/orders/17'))
  expect(attribute(record, 'url.query')).toEqual(text('page=2&page=a%26b&token=REDACTED'))
  expect(attribute(record, 'http.request.header.user-agent')).toEqual(values('demo-client'))
  expect(attribute(record, 'http.request.header.authorization')).toEqual(values('REDACTED'))
  expect(attribute(record, 'client.address')).toEqual(text('10.0.0.7'))
  expect(attribute(record, 'log.record.uid')).toEqual(text(`${event.audit.origin}/614`))
  expect(attribute(record, 'lb.decision.reason')).toEqual(text('less-loaded-of-two'))
})

it('tells a method that the conventions do not know beside', () => {
  const event = sample('request.completed')
  event.http.request.method = 'PROPFIND'
  const [record] = received(formats.otlp()(batchOf([event])).body).resourceLogs[0].scopeLogs[0].logRecords
  expect(attribute(record, 'http.request.method')).toEqual({ stringValue: '_OTHER' })
  expect(attribute(record, 'http.request.method_original')).toEqual({ stringValue: 'PROPFIND' })
})

it('keeps apart what comes from several places', () => {
  const [one, two] = [sample('request.completed'), sample('request.completed')]
  two.cloud = { region: 'eu-2' }
  const { resourceLogs } = received(formats.otlp()(batchOf([one, two, one])).body)
  expect(resourceLogs.map(({ scopeLogs }: Sample) => scopeLogs[0].logRecords.length)).toEqual([2, 1])
})

it('an event alone is a LogsData of the same form', () => {
  for (const event of samples.values()) expect(received(JSON.stringify(toOtel(event))).resourceLogs).toHaveLength(1)
})

it('leaves out an id that is none', () => {
  const event = { ...sample('request.completed'), trace_id: 'x', span_id: '' }
  const [record] = received(formats.otlp()(batchOf([event])).body).resourceLogs[0].scopeLogs[0].logRecords
  expect([record.traceId, record.spanId]).toEqual([undefined, undefined])
})

// The bulk API of Elasticsearch, against a server that keeps documents as it does.
import type { ServerResponse } from 'node:http'
import { expect, it } from 'vitest'
import { type HttpSinkOptions, httpSink } from '../../../src/index.ts'
import { listen } from '../../support/closing.ts'
import { type Answering, collector, fed } from '../../support/collector.ts'
import { batchOf, sample } from '../../support/sample-events.ts'

const reply = (response: ServerResponse, body: unknown): unknown =>
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))

/** Creates documents by id; `fate` may answer an item otherwise. */
function bulk(fate: (id: string, doc: Record<string, unknown>, nth: number) => number | undefined = () => undefined) {
  const documents = new Map<string, unknown>()
  const answer: Answering = (response, nth, { body }) => {
    const rows = body
      .split('\n')
      .slice(0, -1)
      .map((row) => JSON.parse(row))
    const items = []
    for (let i = 0; i < rows.length; i += 2) {
      const { _id } = rows[i].create
      const status = fate(_id, rows[i + 1], nth) ?? (documents.has(_id) ? 409 : 201)
      if (status === 201) documents.set(_id, rows[i + 1])
      const type = { 400: 'document_parsing_exception', 409: 'version_conflict_engine_exception' }[status]
      items.push({ create: { _id, status, ...(status > 201 ? { error: { type, reason: `secret ${_id}` } } : {}) } })
    }
    reply(response, { took: 1, errors: items.some(({ create }) => create.status > 201), items })
  }
  return { documents, answer }
}

async function shipping(answer: Answering, options: Partial<HttpSinkOptions> = {}) {
  const { server, posts, connections } = collector(answer)
  const sink = httpSink({
    url: `http://127.0.0.1:${await listen(server)}/logs/_bulk`,
    format: 'elasticsearch',
    ...options,
  })
  return { sink, posts, connections, ...(await fed(sink)) }
}

const events = (n: number) => Array.from({ length: n }, () => sample('request.completed'))

it('creates a document of ECS for each line, under its origin and index', async () => {
  const { documents, answer } = bulk()
  const { write, posts } = await shipping(answer)
  const batch = batchOf(events(3), 7)
  expect(await write(batch)).toBeUndefined()
  expect([...documents.keys()]).toEqual([7, 8, 9].map((index) => `${batch.origin}/${index}`))
  expect([...documents.values()]).toMatchObject(batch.lines.map((line) => ({ event: { original: line } })))
  expect(posts[0]!.headers['content-type']).toBe('application/x-ndjson')
})

it('a batch that comes again makes nothing twice, and counts as accepted', async () => {
  const { documents, answer } = bulk()
  const { write, connections } = await shipping(answer)
  const batch = batchOf(events(3))
  expect([await write(batch), await write(batch)]).toEqual([undefined, undefined])
  expect([documents.size, connections()]).toEqual([3, 1])
})

it('names just those lines that will never be accepted', async () => {
  const { documents, answer } = bulk((id) => (/\/1[13]$/.test(id) ? 400 : undefined))
  const { write } = await shipping(answer)
  const fault = await write(batchOf(events(5), 10))
  expect(fault).toMatchObject({ rejected: [11, 13] })
  expect(fault.message).toBe('2 of 5 items of a bulk request were refused: document_parsing_exception')
  expect(documents.size).toBe(3)
})

it.each([429, 503])('an item that is answered %i brings the whole batch again', async (status) => {
  const { documents, answer } = bulk((id, _, nth) =>
    id.endsWith('/1') && nth === 1 ? status : id.endsWith('/2') ? 400 : undefined,
  )
  const { write } = await shipping(answer)
  const batch = batchOf(events(4))
  const fault = await write(batch)
  expect([fault.rejected, fault.permanent]).toEqual([undefined, undefined])
  expect(fault.message).toContain(`answered ${status}`)
  expect(await write(batch)).toMatchObject({ rejected: [2] })
  expect(documents.size).toBe(3)
})

it.each([
  ['no JSON', 'x'],
  ['an object that says nothing', {}],
  ['an error that has the status 200', { error: { type: 'security_exception' }, status: 403 }],
  [
    'a text where a truth is meant',
    { errors: 'false', items: [{ create: { status: 201 } }, { create: { status: 201 } }] },
  ],
  ['no items', { errors: false }],
  ['too few items', { errors: false, items: [{ create: { status: 201 } }] }],
  [
    'items that failed, and no errors',
    { errors: false, items: [{ create: { status: 201 } }, { create: { status: 429 } }] },
  ],
  ['too few items, and errors', { errors: true, items: [] }],
  ['items that say nothing', { errors: true, items: [{}, null] }],
  ['more than 4 MiB', { errors: false, filler: 'x'.repeat(5 << 20) }],
])('an answer of %s accepts nothing, and gives nothing up', async (_, body) => {
  const { write } = await shipping((response) =>
    typeof body === 'string' ? response.writeHead(200).end(body) : reply(response, body),
  )
  const fault = await write(batchOf(events(2)))
  expect(fault).toBeInstanceOf(Error)
  expect([fault.permanent, fault.rejected]).toEqual([undefined, undefined])
})

it('carries the line itself where that is asked for', async () => {
  const { documents, answer } = bulk()
  const { write } = await shipping(answer, { map: 'line' })
  const batch = batchOf(events(1))
  await write(batch)
  expect([...documents.values()]).toEqual(batch.lines.map((line) => JSON.parse(line)))
})

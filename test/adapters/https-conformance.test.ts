// The adapter for Node's own servers keeps over TLS what every adapter promises.
import { createServer } from 'node:https'
import { describe, expect, it } from 'vitest'
import { nodeHandler } from '../../src/adapters/node.ts'
import type { Balancer } from '../../src/face.ts'
import { answering } from '../support/backends.ts'
import { closeAfterTest, listen } from '../support/closing.ts'
import { recorded } from '../support/edge.ts'
import { send, valuesOf } from '../support/raw-client.ts'
import { selfSigned } from '../support/tls.ts'
import { plainFront } from '../support/tls-front.ts'
import { conforms } from './conformance.ts'

async function serve(balancer: Balancer, preset: Readonly<Record<string, string | readonly string[]>> = {}) {
  const handler = nodeHandler(balancer)
  const server = createServer(selfSigned(), (request, response) => {
    for (const [name, value] of Object.entries(preset)) response.setHeader(name, value)
    handler(request, response)
  })
  closeAfterTest(server)
  return plainFront(await listen(server))
}

conforms({ name: 'nodeHandler of https', prefix: '', start: (balancer, { preset }) => serve(balancer, preset) })

describe('nodeHandler of https', () => {
  it('tells backends that the client came by TLS', async () => {
    const backend = await answering()
    const { balancer, one } = recorded({ backends: [backend] })
    await send(await serve(balancer))
    expect(valuesOf(backend.seen[0]!.rawHeaders, 'x-forwarded-proto')).toEqual(['https'])
    await one()
  })
})

// witnessSink: sends lines and checkpoints to a witness, which keeps them, cosigns, and notices what is rewritten.
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { Agent, request } from 'undici'
import { cosignedAt, parseWitnessKey, type WitnessKey } from '../log/cosignature.ts'
import { parseOptions } from '../parse.ts'
import type { SignedCheckpoint, Sink } from '../sink.ts'
import { headersOf } from './shared/headers.ts'
import { fedBy } from './shared/options.ts'
import { Refusal } from './shared/refusal.ts'
import { retryAfterMs } from './shared/retry-after.ts'
import { securityOf } from './shared/security.ts'
import { type Answer, alarmedMs, refusalOf } from './shared/witness-answer.ts'
import { type Cosigned, type WitnessSinkOptions, witnessSinkSchema } from './shared/witness-options.ts'

export type { Cosigned, WitnessSinkOptions } from './shared/witness-options.ts'

export interface WitnessSink extends Sink {
  /** The newest cosigned checkpoint of each log, by its origin. */
  readonly cosigned: ReadonlyMap<string, Cosigned>
}

const compressed = promisify(gzip)
const mostAnswer = 65_536
/**
 * Sends all lines of all logs, the oldest first; where it stands is the witness's to say. A log that the witness knows otherwise is
 * not given up: the sink fails until somebody has found out why. Needs a file sink beside it: lines that memory has dropped
 * unsent end their log at the witness.
 */
export function witnessSink(options: WitnessSinkOptions): WitnessSink {
  const config = parseOptions(witnessSinkSchema, options, 'witnessSink')
  const { token, vkey, compress, tls, serverName, onCosigned } = config
  const witness: WitnessKey | undefined = vkey === undefined ? undefined : parseWitnessKey(vkey)
  const base = config.url.replace(/\/$/, '')
  const connect = securityOf(tls, serverName)
  const dispatcher = new Agent({ connections: 1, pipelining: 1, connect, headersTimeout: 0, bodyTimeout: 0 })
  const cosigned = new Map<string, Cosigned>()

  const post = async (
    path: string,
    own: Readonly<Record<string, string>>,
    body: string | Buffer,
    signal: AbortSignal,
  ): Promise<Answer> => {
    const {
      statusCode,
      headers,
      body: answer,
    } = await request(`${base}/${path}`, {
      method: 'POST',
      dispatcher,
      signal,
      headers: {
        ...own,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(compress === 'gzip' ? { 'content-encoding': 'gzip' } : {}),
        ...(await headersOf(config.headers)),
      },
      body: compress === 'gzip' ? await compressed(body) : body,
    })
    let text = ''
    for await (const chunk of answer.setEncoding('utf8')) if (text.length < mostAnswer) text += chunk
    return { status: statusCode, text, retryAfterMs: retryAfterMs(headers, Date.parse(String(headers.date)) || 0) }
  }

  const accept = ({ origin, size, note }: SignedCheckpoint, line: string): void => {
    const whole = `${note}${line}`
    if (witness !== undefined && cosignedAt(whole, witness) === undefined)
      throw new Refusal('the witness did not cosign by the key that it is known by', { retryAfterMs: alarmedMs })
    const accepted: Cosigned = { origin, size, note: whole }
    cosigned.set(origin, accepted)
    try {
      Promise.resolve(onCosigned?.(accepted)).catch(() => undefined)
    } catch {
      // The witness has it: what the host does with it is the host's.
    }
  }

  return {
    ...fedBy({ ...config, from: 'oldest' }),
    cosigned,
    async write({ origin, first, lines }, signal) {
      const headers = {
        'content-type': 'application/x-ndjson',
        'auditlb-origin': origin,
        'auditlb-first': String(first),
      }
      const answer = await post('lines', headers, `${lines.join('\n')}\n`, signal)
      if (answer.status !== 200) throw refusalOf(answer)
    },
    async missing({ origin, first, last, leaves }, signal) {
      if (leaves.length < last - first + 1)
        throw new Refusal(`the hashes of lines ${first} to ${last} are gone: the log ends at the witness`, {
          permanent: true,
        })
      const headers = {
        'content-type': 'application/octet-stream',
        'auditlb-origin': origin,
        'auditlb-first': String(first),
      }
      const answer = await post('leaves', headers, Buffer.concat(leaves), signal)
      if (answer.status !== 200) throw refusalOf(answer)
    },
    async checkpoint(checkpoint, signal) {
      const { origin, note, vkey: key, handovers = [] } = checkpoint
      const headers = { 'content-type': 'text/plain; charset=utf-8', 'auditlb-origin': origin, 'auditlb-vkey': key }
      const answer = await post('checkpoint', headers, `${handovers.join('')}${note}`, signal)
      // No line of a log without lines has come: there is nothing to cosign.
      if (answer.status !== 200) throw refusalOf(answer)
      accept(checkpoint, answer.text)
    },
    close: () => dispatcher.destroy(),
  }
}

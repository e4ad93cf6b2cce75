// Mirroring: a share of the requests is sent once more, to a group of backends that get nothing else, and nobody waits for it.
import { z } from 'zod'
import { nameSchema } from '../backend.ts'
import type { Emit, LevelOf } from '../events.ts'
import { below, type Random } from '../random.ts'
import { Copy, type CopyEnd, type CopyPorts, type Original } from './copy.ts'

export const mirrorSchema = z.strictObject({
  /** The group whose backends get the copies, and nothing else. */
  group: nameSchema,
  /** The share of the requests that is copied, in percent, to three decimals. */
  percent: z
    .number()
    .min(0)
    .max(100)
    .refine((percent) => Math.round(percent * 1000) / 1000 === percent, 'expected at most three decimals'),
  /** The largest body that is copied, in bytes. A request with a larger one is not. Default 65,536. */
  bodyBytes: z.int().min(0).max(16_777_216).default(65_536),
  /** How long a copy may take from its beginning to the end of its response, in ms. Default 10,000. */
  timeoutMs: z.int().min(1).max(3_600_000).default(10_000),
  /** How many copies there may be at once, those included whose body is still coming in. Default 100. */
  max: z.int().min(1).max(100_000).default(100),
})
export type MirrorConfig = z.output<typeof mirrorSchema>

export interface MirrorPorts extends CopyPorts {
  readonly random: Random
  readonly emit: Emit
  readonly levelOf: LevelOf | undefined
  /** The options in force; undefined if nothing is mirrored. */
  config(): MirrorConfig | undefined
  /** The configuration in force, for the record. */
  stamp(): { readonly config_hash: string; readonly config_revision: number; readonly pool: string }
}

/** How many parts of a percent are told apart. */
const perPercent = 1000

export class Mirrors {
  readonly #ports: MirrorPorts
  readonly #open = new Set<Copy>()
  #closed = false

  constructor(ports: MirrorPorts) {
    this.#ports = ports
  }

  /** Draws whether a request is copied. To be asked once for each that is sent on. */
  draws(): boolean {
    const config = this.#ports.config()
    if (config === undefined || this.#closed) return false
    return below(this.#ports.random, 100 * perPercent) < Math.round(config.percent * perPercent)
  }

  /** A copy of a request that was drawn: it waits for its body. Undefined if there will be none. */
  copy(original: Original): Copy | undefined {
    const config = this.#ports.config()
    if (config === undefined || this.#closed) return undefined
    const busy = this.#open.size >= config.max
    if (busy || (original.length ?? 0) > config.bodyBytes) {
      this.#tell(original, { skipped: busy ? 'busy' : 'body-too-large' })
      return undefined
    }
    const copy = new Copy(original, config, this.#ports, (end) => {
      this.#open.delete(copy)
      this.#tell(original, end)
    })
    this.#open.add(copy)
    copy.start()
    return copy
  }

  /** Breaks off all copies, and begins no more. */
  close(): void {
    this.#closed = true
    for (const copy of [...this.#open]) copy.close()
  }

  #tell({ requestId, view }: Original, { backend, durationUs, result, skipped, status }: CopyEnd): void {
    const { method = '', path = '', client } = view
    const failed = result !== undefined && result !== 'ok'
    const about = { id: requestId, method, path: path.split('?', 1)[0]!, client: client?.address ?? '' }
    if (this.#ports.levelOf?.('request.mirrored', { ...about, status, result, failed }) === 'none') return
    const { config_hash, config_revision, pool } = this.#ports.stamp()
    this.#ports.emit('request.mirrored', {
      lb: {
        backend,
        config_hash,
        config_revision,
        duration_us: durationUs,
        pool,
        request_id: requestId,
        result,
        skipped,
        status_code: status,
      },
      outcome: skipped !== undefined ? 'unknown' : result === 'ok' ? 'success' : 'failure',
    })
  }
}

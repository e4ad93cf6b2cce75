// Which holds a writer has told of, kept beside its logs: so that it can tell what changed while it was not running.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { reasonOf } from '../errors.ts'
import type { Logger } from '../runtime.ts'
import { logNames } from '../sink.ts'
import type { Hold } from './hold-file.ts'
import { replaceFile } from './replace-file.ts'
import { orMissing, syncDir } from './segments.ts'

const stateSchema = z.strictObject({
  known: z.array(
    z.strictObject({
      name: z.string(),
      logs: z.array(z.enum(logNames)),
      by: z.string(),
      reason: z.string(),
      placed: z.string(),
    }),
  ),
  lifted: z.array(z.string()),
})

export interface ToldHolds {
  /** Holds in force, by name. */
  readonly known: Map<string, Hold>
  /** Names of the files of holds that were lifted; undefined as long as that is not known. */
  lifted: Set<string> | undefined
}

export class KeptHolds {
  private readonly path: string
  /** What is there, or will be once `saving` resolves; undefined if that is not known. */
  private text: string | undefined
  private saving: Promise<void> = Promise.resolve()
  private told = false

  constructor(
    private readonly instanceDir: string,
    private readonly mode: number,
    private readonly logger: Logger,
  ) {
    this.path = join(instanceDir, 'holds.json')
  }

  /** Undefined if there is none, or none that can be read. */
  async read(): Promise<ToldHolds | undefined> {
    try {
      const text = await orMissing(readFile(this.path, 'utf8'), undefined)
      if (text === undefined) return undefined
      const { known, lifted } = stateSchema.parse(JSON.parse(text))
      this.text = text
      return { known: new Map(known.map((hold) => [hold.name, hold])), lifted: new Set(lifted) }
    } catch (error) {
      const facts = { path: this.path, error: reasonOf(error) }
      this.logger.error(facts, 'what was told of legal holds cannot be read: what changed since is not told')
      return undefined
    }
  }

  /** Writes what is told now, if that differs from what is there. Never rejects: if it fails, some is told twice. */
  save({ known, lifted }: ToldHolds): Promise<void> {
    if (lifted === undefined) return this.saving
    const text = `${JSON.stringify({ known: [...known.values()], lifted: [...lifted] })}\n`
    if (text !== this.text) {
      this.text = text
      this.saving = this.saving.then(() => this.write(text, known.size + lifted.size))
    }
    return this.saving
  }

  /** Resolves once nothing is being written. */
  settled(): Promise<void> {
    return this.saving
  }

  private async write(text: string, holds: number): Promise<void> {
    try {
      await replaceFile(this.path, text, this.mode)
      await syncDir(this.instanceDir)
      this.told = false
    } catch (error) {
      // Without any hold nothing was told.
      if (!this.told && holds > 0)
        this.logger.warn({ error: reasonOf(error) }, 'what was told of legal holds cannot be written')
      this.told ||= holds > 0
      // The next call tries again.
      this.text = undefined
    }
  }
}

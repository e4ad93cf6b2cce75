// How long a writer keeps its lines, written down beside them: so that they can be pruned when it is not running.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { BalancerError, reasonOf } from '../errors.ts'
import { type FileSinkConfig, retentionSchema } from './options.ts'
import { replaceFile } from './replace-file.ts'
import { orMissing } from './segments.ts'

const policySchema = z.strictObject({
  maxBytes: z.int().min(1),
  segmentBytes: z.int().min(1),
  mode: z.int(),
  retention: retentionSchema,
})

export type KeptPolicy = z.output<typeof policySchema>

const policyPath = (instanceDir: string): string => join(instanceDir, 'retention.json')

export async function keepPolicy(instanceDir: string, options: FileSinkConfig): Promise<void> {
  const { maxBytes, retention, segment, mode } = options
  const kept: KeptPolicy = { maxBytes, segmentBytes: segment.maxBytes, mode, retention }
  await replaceFile(policyPath(instanceDir), `${JSON.stringify(kept)}\n`, mode)
}

/** Undefined if it was never kept. Throws `log-invalid` for what is no policy. */
export async function readPolicy(instanceDir: string): Promise<KeptPolicy | undefined> {
  const path = policyPath(instanceDir)
  const text = await orMissing(readFile(path, 'utf8'), undefined)
  if (text === undefined) return undefined
  try {
    return policySchema.parse(JSON.parse(text))
  } catch (error) {
    throw new BalancerError('log-invalid', `${path} is no retention policy: ${reasonOf(error)}`, { cause: error })
  }
}

// The log on disk: lines in segments, their hashes in tiles, and signed checkpoints over both.
import { z } from 'zod'
import { BalancerError, reasonOf } from '../errors.ts'
import { Store } from '../log/store.ts'
import { parseOptions } from '../parse.ts'
import type { LogStore } from '../sink.ts'

const count = z.int().min(1)

// Each segment begins with the event that tells of the one before: smaller ones would be made of nothing else.
const leastSegmentBytes = 64 * 1024
const leastBytes = 1024 ** 2

export const fileSinkSchema = z.strictObject({
  /** The folder. Each writer gets a folder of its own in it. */
  dir: z.string().min(1),
  /**
   * When lines are fsynced. `none`: only before a checkpoint covers them. `interval`: within 100 ms; what a power loss takes
   * is at most that. `group`: the last byte of a response waits for its line, and one fsync serves many.
   * @default 'interval'
   */
  durability: z.enum(['none', 'interval', 'group']).default('interval'),
  /**
   * The writer's name, of the characters A-Z a-z 0-9 . _ - . Opening fails while another process holds it. Without one, the first
   * free of `<host>.0`, `<host>.1`, … is taken.
   */
  instance: z
    .string()
    .regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/, 'expected 1 to 128 of the characters A-Z a-z 0-9 . _ -')
    .optional(),
  /**
   * Bytes that this writer's lines may take, 1 MiB or more. The oldest traffic is deleted first, then security, then control;
   * what is left still verifies. Hashes are kept, and come on top: 32 bytes for each line that ever was.
   * @default 2 GiB
   */
  maxBytes: z
    .int()
    .min(leastBytes)
    .default(2 * 1024 ** 3),
  /**
   * Permissions of the files, as far as the umask lets them.
   * @default 0o640
   */
  mode: z.int().min(0o400).max(0o777).default(0o640),
  segment: z
    .strictObject({
      /** A segment is closed before it gets larger; 64 KiB or more. @default 64 MiB, or an eighth of the budget if that is less */
      maxBytes: z
        .int()
        .min(leastSegmentBytes)
        .default(64 * 1024 ** 2),
      /** A segment is closed at the first line after this time. @default 24 hours */
      maxAgeMs: count.default(86_400_000),
    })
    .prefault({}),
  checkpoint: z
    .strictObject({
      /** No line waits longer than this for a checkpoint. @default 1,000 */
      intervalMs: count.max(3_600_000).default(1000),
      /** A checkpoint is made once this many lines have none. @default 1,000 */
      lines: count.default(1000),
    })
    .prefault({}),
})

export type FileSinkOptions = z.input<typeof fileSinkSchema>

/** The tamper-evident log in a folder. Throws `config-invalid` for options that are not valid. */
export function fileSink(options: FileSinkOptions): LogStore {
  return fileStore(parseOptions(fileSinkSchema, options, 'fileSink'))
}

/** The same with options that are taken as they are: tests make segments that are smaller than is of use. */
export function fileStore(config: z.output<typeof fileSinkSchema>): LogStore {
  let store: Store | undefined
  let opening = false
  return {
    name: 'file',
    kind: 'store',
    durability: config.durability,
    get healthy() {
      return store?.healthy ?? false
    },
    get source() {
      if (store === undefined) throw new BalancerError('closed', 'the file sink is not open')
      return store.source
    },
    async open(context, hooks) {
      if (opening || store !== undefined) {
        throw new BalancerError('sink-unavailable', `${config.dir} is open by this sink`)
      }
      opening = true
      try {
        store = await Store.open(config, context, hooks)
      } catch (error) {
        if (error instanceof BalancerError) throw error
        const { code = '', syscall = 'open', path = config.dir } = error as NodeJS.ErrnoException
        const fact = code === '' ? reasonOf(error) : code
        throw new BalancerError('sink-unavailable', `${syscall} ${path}: ${fact}`, { cause: error })
      } finally {
        opening = false
      }
      return store.opened
    },
    append: (log, index, line) => store?.writers[log].append(index, line) ?? false,
    async durable(log, index) {
      if (store === undefined) throw new BalancerError('closed', 'the file sink is not open')
      await store.writers[log].durable(index)
    },
    async close(deadlineMs) {
      return store === undefined ? { unwritten: 0 } : store.close(deadlineMs)
    },
    async release() {
      const closing = store
      store = undefined
      await closing?.release()
    },
  }
}

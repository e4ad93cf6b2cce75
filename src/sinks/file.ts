// The log on disk: lines in segments, their hashes in tiles, and signed checkpoints over both.
import { BalancerError, reasonOf } from '../errors.ts'
import { type FileSinkConfig, type FileSinkOptions, fileSinkSchema } from '../log/options.ts'
import { Store } from '../log/store.ts'
import { parseOptions } from '../parse.ts'
import type { LogStore } from '../sink.ts'

export { type FileSinkOptions, fileSinkSchema } from '../log/options.ts'

/** The tamper-evident log in a folder. Throws `config-invalid` for options that are not valid. */
export function fileSink(options: FileSinkOptions): LogStore {
  return fileStore(parseOptions(fileSinkSchema, options, 'fileSink'))
}

/** The same with options that are taken as they are: tests make segments that are smaller than is of use. */
export function fileStore(config: FileSinkConfig): LogStore {
  let store: Store | undefined
  let opening = false
  return {
    name: 'file',
    kind: 'store',
    durability: config.durability,
    remote: config.remote,
    fault: (log) => (store === undefined ? 'it is not open' : store.writers[log].fault),
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
    async rotateKey(note) {
      if (store === undefined) throw new BalancerError('closed', 'the file sink is not open')
      return store.rotateKey(note)
    },
    flushSync: () => store?.flushSync() ?? 0,
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

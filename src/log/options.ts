// The options of the log on disk.
import { KeyObject } from 'node:crypto'
import { z } from 'zod'
import { isReservedName } from './names.ts'
import { publicKeyOf } from './note.ts'

const count = z.int().min(1)
const dayMs = 86_400_000

// Each segment begins with the event that tells of the one before: smaller ones would be made of nothing else.
const leastSegmentBytes = 64 * 1024
const leastBytes = 1024 ** 2

const keySchema = z
  .custom<string | Uint8Array | KeyObject>(
    (value) => typeof value === 'string' || value instanceof Uint8Array || value instanceof KeyObject,
    'expected a public key: PEM, a KeyObject, or 32 bytes',
  )
  .transform((given, context): KeyObject => {
    try {
      return publicKeyOf(given)
    } catch {
      context.addIssue({ code: 'custom', message: 'expected a public Ed25519 key: PEM, a KeyObject, or 32 bytes' })
      return z.NEVER
    }
  })

type Sign = (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>

/** What lies in such a file is told by no error. */
export const keyFileSchema = z
  .string()
  .min(1)
  .refine((path) => !path.includes('-----BEGIN '), 'expected the path of a file, not the key itself')

const signerSchema = z
  .strictObject({
    /** Path of a private Ed25519 key in PKCS #8 PEM. It is read at the start, and by `rotateKey()`. */
    file: keyFileSchema.optional(),
    /** The public key that `sign` signs for: PEM, a KeyObject, or its 32 bytes. Ed25519. */
    publicKey: keySchema.optional(),
    /**
     * Signs these bytes by Ed25519, and returns the 64 bytes of the signature, also as a promise: a key of a KMS or HSM. Each
     * signature is checked before it is published. One that fails, or takes longer than 10 s, is asked for again; lines are
     * written meanwhile.
     */
    sign: z.custom<Sign>((value) => typeof value === 'function', 'expected a function').optional(),
    /**
     * Whether the key only certifies, once for each log at each start, a key that is made at the start, lives in memory, and
     * signs the checkpoints. @default false
     */
    certify: z.boolean().default(false),
  })
  .transform(({ file, publicKey, sign, certify }, context) => {
    if (file !== undefined && publicKey === undefined && sign === undefined && !certify) return { file }
    if (file === undefined && publicKey !== undefined && sign !== undefined) return { publicKey, sign, certify }
    context.addIssue({ code: 'custom', message: 'expected either `file`, or `publicKey` and `sign`' })
    return z.NEVER
  })

/** The name of a writer. */
export const instanceSchema = z
  .string()
  .regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/, 'expected 1 to 128 of the characters A-Z a-z 0-9 . _ -')
  .refine((name) => !isReservedName(name), 'expected another name: this one means something else in an audit folder')

const limits = (maxAgeMs: number) =>
  z
    .strictObject({
      /** A segment is deleted once its newest line is older than this, ms. */
      maxAgeMs: count.default(maxAgeMs),
      /** Bytes that the lines of this log may take, 1 MiB or more. @default no bound but `maxBytes` of all three */
      maxBytes: z.int().min(leastBytes).optional(),
    })
    .prefault({})

/** How long the lines of each log are kept. */
export const retentionSchema = z.strictObject({
  traffic: limits(90 * dayMs),
  security: limits(396 * dayMs),
  control: limits(2557 * dayMs),
})

export type RetentionPolicy = z.output<typeof retentionSchema>

export const fileSinkSchema = z
  .strictObject({
    /** The folder. Each writer gets a folder of its own in it. */
    dir: z.string().min(1),
    /**
     * When lines are fsynced. `none`: only before a checkpoint covers them. `interval`: within 100 ms; what a power loss takes
     * is at most that. `group`: the last byte of a response waits for its line, and one fsync serves many. `remote`: it waits
     * until the sink that `remote` names has accepted the line, too.
     * @default 'interval'
     */
    durability: z.enum(['none', 'interval', 'group', 'remote']).default('interval'),
    /** Name of the sink that `durability: 'remote'` waits for. */
    remote: z.string().min(1).optional(),
    /**
     * The writer's name, of the characters A-Z a-z 0-9 . _ - . Not `holds`, that of a log or of a file of a writer (`vkey`, `lock`, …), nor
     * one such as `traffic.aside-…`: `config-invalid`. Opening fails while another process holds it.
     * Without one, the first free of `<host>.0`, `<host>.1`, … is taken.
     */
    instance: instanceSchema.optional(),
    /** Who signs the checkpoints. @default a key that is made at the first start and lies beside the log, with mode 0600 */
    key: signerSchema.optional(),
    /**
     * Bytes that this writer's lines may take, 1 MiB or more. The oldest traffic is deleted first, then security, then control;
     * what is left still verifies. Hashes are kept, and come on top: 32 bytes for each line that ever was.
     * @default 2 GiB
     */
    maxBytes: z
      .int()
      .min(leastBytes)
      .default(2 * 1024 ** 3),
    retention: retentionSchema.prefault({}),
    /**
     * Bytes that are kept free on the disk by a file of this size: it is deleted when the disk is full, for lines of the
     * security and control logs only. 0 for none. @default 1 MiB
     */
    reserveBytes: z
      .int()
      .min(0)
      .max(1024 ** 3)
      .default(1024 ** 2),
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
        maxAgeMs: count.default(dayMs),
        /** Whether closed segments are compressed. @default 'none' */
        compress: z.enum(['none', 'gzip']).default('none'),
      })
      .prefault({}),
    checkpoint: z
      .strictObject({
        /** No line waits longer than this for a checkpoint. @default 1,000 */
        intervalMs: count.max(3_600_000).default(1000),
        /**
         * A checkpoint is made once this many lines have none. From 256 on it may leave out the last 255, which a hash tile of
         * 256 does not hold yet: they wait for the next, at most `intervalMs`. @default 1,000
         */
        lines: count.default(1000),
      })
      .prefault({}),
  })
  .superRefine(({ durability, remote }, context) => {
    const problem = (message: string) => context.addIssue({ code: 'custom', path: ['remote'], message })
    if (durability === 'remote' && remote === undefined) problem("expected the name of a sink, for durability 'remote'")
    if (durability !== 'remote' && remote !== undefined) problem("expected nothing, without durability 'remote'")
  })

export type FileSinkOptions = z.input<typeof fileSinkSchema>
export type FileSinkConfig = z.output<typeof fileSinkSchema>

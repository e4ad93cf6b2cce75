// The options of a witness.
import { KeyObject } from 'node:crypto'
import { z } from 'zod'
import type { Clock } from '../clock.ts'
import { reasonOf } from '../errors.ts'
import { parseWitnessKey } from '../log/cosignature.ts'
import { parseVkey } from '../log/note.ts'
import { keyFileSchema } from '../log/options.ts'
import type { Logger } from '../runtime.ts'
import type { Authorize } from './guard.ts'
import type { Accept } from './keys.ts'

const dayMs = 86_400_000
const leastToken = 16

const isFunction = (value: unknown): boolean => typeof value === 'function'
const hasFunctions = (value: unknown, ...names: string[]): boolean =>
  typeof value === 'object' && value !== null && names.every((name) => isFunction((value as never)[name]))

// Its own message: a token must not be shown.
const token = z.string().refine((text) => text.length >= leastToken && !/\s/.test(text), {
  error: `expected a token of at least ${leastToken} characters without spaces`,
})

const keyText = (parse: (text: string) => unknown, what: string) =>
  z.string().superRefine((text, context) => {
    try {
      parse(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: `expected ${what}: ${reasonOf(error)}` })
    }
  })
const vkey = keyText(parseVkey, 'a verifier key')

const age = (maxAgeMs: number) => z.strictObject({ maxAgeMs: z.int().min(1).default(maxAgeMs) }).prefault({})

/** What records what a witness finds: a trail. */
export interface WitnessTrail {
  record(name: 'witness.origin_changed' | 'witness.refused', fields: object): void
}

export const witnessSchema = z
  .strictObject({
    /** The folder. Each service has one in it, and each of its writers one in that, as an audit folder has it. */
    dir: z.string().min(1),
    /** The name of the key that cosigns: by custom a URL without a scheme. @default witness */
    name: z
      .string()
      .regex(/^[^\s+]{1,128}$/u, 'expected 1 to 128 characters, without spaces and +')
      .default('witness'),
    /** The key that cosigns. @default made at the first start, in `DIR/witness.key`, mode 0600 */
    key: z
      .union([
        z.strictObject({
          /** Path of a private Ed25519 key in PKCS #8 PEM. */
          file: keyFileSchema,
        }),
        z.strictObject({
          /** The public key that `sign` signs for: PEM or a KeyObject. Ed25519. */
          publicKey: z.custom<string | KeyObject>(
            (value) => typeof value === 'string' || value instanceof KeyObject,
            'expected a public key: PEM or a KeyObject',
          ),
          /** Returns the 64 bytes of an Ed25519 signature, also as a promise: a key of a KMS. */
          sign: z.custom<(message: Uint8Array) => Uint8Array | Promise<Uint8Array>>(isFunction, 'expected a function'),
        }),
      ])
      .optional(),
    /**
     * Verifier keys that this witness had before, as `ready()` gave them: what it has stated under them of lines that it does not hold
     * counts further. @default none
     */
    formerKeys: z.array(keyText(parseWitnessKey, 'the verifier key of a witness')).default([]),
    /**
     * Who may send lines and read the roster: `authorization: Bearer <token>`. A token as text may do all; as an object it can be
     * bound to writers, and to reading.
     */
    tokens: z
      .array(
        z.union([
          token,
          z.strictObject({
            token,
            origins: z.array(z.string().min(1)).min(1).optional(),
            send: z.boolean().optional(),
          }),
        ]),
      )
      .default([]),
    /** Decides on requests that carry none of the tokens. @default they are refused */
    authorize: z.custom<Authorize>(isFunction, 'expected a function').optional(),
    /**
     * The verifier keys of writers, by `<service>/<instance>` with `*` for any characters. With it other writers are refused,
     * unless `accept` is given. @default the first key of a log is trusted, and kept
     */
    origins: z.record(z.string().min(1), z.union([vkey, z.array(vkey).min(1)])).optional(),
    /** Decides on the first key of a log that `origins` does not name. @default true, unless there are `origins` */
    accept: z.custom<Accept>(isFunction, 'expected a function').optional(),
    /** Lines are deleted, by whole segments, once they are older than this. @default 90, 396 and 2,557 days */
    retention: z
      .strictObject({ traffic: age(90 * dayMs), security: age(396 * dayMs), control: age(2557 * dayMs) })
      .prefault({}),
    /** Bytes that the lines of all logs may take, 16 MiB or more. Hashes come on top: 32 bytes for each line. @default 64 GiB */
    maxBytes: z
      .int()
      .min(16 * 1024 ** 2)
      .default(64 * 1024 ** 3),
    segment: z
      .strictObject({
        /** A segment is closed before it gets larger; 64 KiB or more. @default 16 MiB */
        maxBytes: z
          .int()
          .min(64 * 1024)
          .default(16 * 1024 ** 2),
        /** A segment is closed at the first line after this time, ms. @default 24 hours */
        maxAgeMs: z.int().min(1).default(dayMs),
      })
      .prefault({}),
    /** A log whose writer sends nothing for this time is `silent`, ms. Heartbeats come each minute. @default 150,000 */
    silentAfterMs: z.int().min(1000).default(150_000),
    limits: z
      .strictObject({
        /** Bytes of a body, after decompression. @default 8 MiB */
        bodyBytes: z
          .int()
          .min(128 * 1024)
          .max(1024 ** 3)
          .default(8 * 1024 ** 2),
        /** How long a body may take to come, ms. @default 30,000 */
        bodyMs: z.int().min(1).default(30_000),
        /** Requests at once; an eighth as many more of `/add-checkpoint`, which asks for no token. @default 64 */
        requests: z.int().min(1).default(64),
        /** Logs whose files are open at once. @default 256 */
        openLogs: z.int().min(1).default(256),
        /** Logs in all. @default 100,000 */
        origins: z.int().min(1).default(100_000),
        /** Logs that one sender may begin in ten minutes: each start of a writer on a new disk begins three. @default 300 */
        newOrigins: z.int().min(1).default(300),
      })
      .prefault({}),
    /** Permissions of the files, as far as the umask lets them. @default 0o640 */
    mode: z.int().min(0o400).max(0o777).default(0o640),
    /** The trail that gets `witness.origin_changed` and `witness.refused`. @default none */
    audit: z
      .custom<WitnessTrail>((value) => hasFunctions(value, 'record'), 'expected a trail, made by `createAudit`')
      .optional(),
    /** Is told of faults, and of logs that fell silent or shrank: a pino-like object. @default JSON lines to stderr */
    logger: z
      .custom<Logger>(
        (value) => hasFunctions(value, 'warn', 'error'),
        'expected an object with functions `warn` and `error`',
      )
      .optional(),
    /** Time, for tests. */
    clock: z
      .custom<Clock>(
        (value) => hasFunctions(value, 'now', 'monoUs', 'after'),
        'expected an object with functions `now`, `monoUs`, `after`',
      )
      .optional(),
  })
  .refine(({ tokens, authorize }) => tokens.length > 0 || authorize !== undefined, {
    path: ['tokens'],
    error: 'expected at least one token, or a function `authorize`',
  })

export type WitnessOptions = z.input<typeof witnessSchema>
export type WitnessConfig = z.output<typeof witnessSchema>

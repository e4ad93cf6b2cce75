// The options of consistent-hash.
import { z } from 'zod'
import { keySchema } from '../../request-key.ts'
import { tableSizeSchema } from './maglev.ts'
import { pointsSchema } from './ring.ts'

export const hashOptions = z
  .strictObject({
    /**
     * What is hashed: `path` (without the query), `client` (its address), `{ header }`, `{ cookie }` or `{ query }` by name,
     * or a function of the request that returns text. Required. A request whose key is absent or empty goes to a backend
     * that is drawn by weight. A function must not throw: the pick would fall to the first candidate.
     */
    key: keySchema,
    /** Who owns a key: `rendezvous`, `maglev` or `ring`. Default `rendezvous`. */
    algorithm: z.enum(['rendezvous', 'maglev', 'ring']).default('rendezvous'),
    /**
     * The slots of `maglev`, a prime number of at most 5,000,011; 100 times the backends keep shares within 1 %. Default
     * 65,537, as in Envoy.
     */
    tableSize: tableSizeSchema.optional(),
    /**
     * The points of `ring` for each unit of weight, an integer from 1 to 65,536. Default 512: shares err by 1/√512 = 4.4 % of
     * themselves (standard deviation), where the 160 of ketama leave 7.9 %.
     */
    points: pointsSchema.optional(),
    /**
     * The most that a backend may have in flight, in percent of its share of all that is, an integer from 101 to 10,000.
     * What would be beyond goes to the next backend of its key. Default none.
     */
    boundedLoad: z.int().min(101).max(10_000).optional(),
  })
  .superRefine(({ algorithm, tableSize, points }, context) => {
    const only = (option: string, owner: string): void =>
      context.addIssue({
        code: 'custom',
        path: [option],
        message: `belongs to the algorithm "${owner}", and this is "${algorithm}"`,
      })
    if (tableSize !== undefined && algorithm !== 'maglev') only('tableSize', 'maglev')
    if (points !== undefined && algorithm !== 'ring') only('points', 'ring')
  })
  .transform(({ tableSize = 65_537, points = 512, ...rest }) => ({
    ...rest,
    ...(rest.algorithm === 'maglev' ? { tableSize } : {}),
    ...(rest.algorithm === 'ring' ? { points } : {}),
  }))

export type HashOptions = z.output<typeof hashOptions>

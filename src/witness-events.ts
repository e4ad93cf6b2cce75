// Events of a witness: the zod schema of each.
import { define, int, obj, text } from './event-parts.ts'

export const witnessEvents = {
  'witness.origin_changed': define(
    'control',
    'warn',
    'A log that a witness holds is new, speaks, has ended, fell silent, or shows less or something else than before.',
    {
      witness: obj({
        origin: text,
        /** `absent`, `open`, `closed`, `silent` or `shrunk`. */
        from: text,
        to: text,
        /** Size of the last cosigned checkpoint. */
        size: int,
        /** How many lines are accounted for. */
        lines: int,
        /** RFC 3339. */
        last_seen: text,
        fault: text.optional(),
      }),
    },
  ),
  'witness.refused': define('security', 'warn', 'A witness refused what somebody sent, or asked for.', {
    witness: obj({
      code: text,
      status: int,
      detail: text,
      path: text,
      origin: text.optional(),
      /** How many refusals this line stands for, where they came in a flood. */
      count: int.optional(),
    }),
    network: obj({ peer: obj({ address: text }) }),
  }),
}

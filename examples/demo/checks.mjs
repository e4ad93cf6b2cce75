// What must have come out of the demo; each entry is a sentence and whether it holds.
import { failures } from './story.mjs'

export function checks({ story, seen, verified, refusals }) {
  const { requests, health, changes, rejected, denials } = story
  const rules = denials.map(({ access }) => `${access.phase} ${access.rule}`)
  const went = (id, to) => health.some(({ backend }) => backend.id === id && backend.to === to)
  return [
    ['every GET was answered with 200', seen.GET > 0 && seen.failedGET === 0],
    ['every request of the clients is one line of the log', requests.length === seen.GET + seen.POST],
    ['every failure that a client saw is in the log', failures(requests).length === seen.failedGET + seen.failedPOST],
    [
      'every request says why it went where it went',
      requests.every(({ lb }) => lb.attempts.at(-1)?.reason !== undefined),
    ],
    ['the crash of b2 and its return are in the log', went('b2', 'unhealthy') && went('b2', 'healthy')],
    ['four changes have an actor, before and after', changes.length === 4 && changes.every(hasBeforeAndAfter)],
    [
      'the change without the right was refused and recorded',
      rejected.length === 1 && rules.includes('admin control.authorize'),
    ],
    [
      'the denied address was cut off and recorded',
      refusals.stranger === '' && rules.includes('connection access.deny'),
    ],
    [
      'the malformed request got 400 and was recorded',
      refusals.smuggler.startsWith('HTTP/1.1 400') && rules.includes('connection malformed'),
    ],
    [
      'no secret of the clients is in the log',
      !JSON.stringify(story).includes('not-for-the-log') && !JSON.stringify(story).includes('s3cret'),
    ],
    ['the log verifies', verified.ok],
  ]
}

const hasBeforeAndAfter = ({ actor, config }) =>
  actor.id !== '' && config.before !== undefined && config.after !== undefined && config.changes.length > 0

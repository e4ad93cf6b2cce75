// What is simulated: the strategies, and the scenarios that each of them goes through.

export const seed = 1

/** `first` is not here: it sends everything to one backend, whatever happens. */
export const roster = [
  'round-robin',
  'random',
  'least-connections',
  'power-of-two',
  'peak-ewma',
  { name: 'consistent-hash', key: 'path' },
]

const ids = (prefix, count) => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

/** Ten backends work on 4 requests at a time for 20 ms each: 2,000 a second in all, of which 60 % are asked for. */
const common = {
  backends: ids('b', 10),
  slots: 4,
  meanMs: 20,
  ratePerSecond: 1200,
  patienceMs: 2000,
  seconds: 45,
  from: 5,
  to: 20,
}
const changed = (behaviours) => (control) => {
  for (const [id, behaviour] of Object.entries(behaviours)) control.set(id, behaviour)
}
const spell = (behaviours) => [
  { at: common.from, act: changed(behaviours) },
  { at: common.to, act: changed(Object.fromEntries(Object.keys(behaviours).map((id) => [id, {}]))) },
]
const alone = (time) => (time < common.from ? 0 : 0.1)

/** A new backend is cold: for its first second it takes three times as long. */
const replaced = Array.from({ length: 10 }, (_, i) => common.from + 1.5 * i).flatMap((at, i) => [
  {
    at,
    act: async (control) => {
      await control.add(`n${i}`, { slowness: 3 })
      await control.drain(`b${i}`)
    },
  },
  {
    at: at + 1,
    act: async (control) => {
      control.set(`n${i}`, {})
      await control.remove(`b${i}`)
    },
  },
])

const sink = { slowness: 1 / 50, outcome: { result: 'backend-reset' } }
const isFirst = (id) => id === 'b0'

/**
 * Each with a name, what happens in it, whom it is about (`watched`), the share of the traffic that is theirs by weight
 * (`fair`, by the time in seconds), when it happens (`from`, `to`, in seconds), and the members that the engine goes by.
 */
export const scenarios = [
  {
    ...common,
    name: 'joiner',
    about: 'A tenth backend joins nine after 5 s.',
    backends: ids('b', 9),
    watched: (id) => id === 'new',
    fair: alone,
    steps: [{ at: common.from, act: (control) => control.add('new', {}) }],
  },
  {
    ...common,
    name: 'sinkhole',
    about: 'From 5 s to 20 s one backend fails every request, 50 times faster than the others succeed.',
    watched: isFirst,
    fair: () => 0.1,
    steps: spell({ b0: sink }),
  },
  {
    ...common,
    name: 'sinkhole-unejected',
    about: 'The same with ejection off (`health: { passive: false }`): what the strategy alone makes of it.',
    options: { health: { passive: false } },
    watched: isFirst,
    fair: () => 0.1,
    steps: spell({ b0: sink }),
  },
  {
    ...common,
    name: 'slow',
    about:
      'From 5 s to 20 s one backend takes five times as long: it can serve 40 requests a second, a third of its share.',
    watched: isFirst,
    fair: () => 0.1,
    steps: spell({ b0: { slowness: 5 } }),
  },
  {
    ...common,
    name: 'outage',
    about: 'From 5 s to 20 s two backends answer nothing; clients give up after 2 s.',
    watched: (id) => id === 'b0' || id === 'b1',
    fair: () => 0.2,
    steps: spell({ b0: { stuck: true }, b1: { stuck: true } }),
  },
  {
    ...common,
    name: 'deploy',
    about:
      'From 5 s on a new backend takes the place of an old one every 1.5 s; for its first second it takes three times as long.',
    watched: (id) => id?.startsWith('n') ?? false,
    fair: (time) => Math.min(10, Math.max(0, Math.floor((time - common.from) / 1.5) + 1)) / 10,
    steps: replaced.sort((a, b) => a.at - b.at),
  },
]

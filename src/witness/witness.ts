// The central place: takes the lines of many writers, cosigns their checkpoints, and knows who has fallen silent or shrunk.
import { writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { basename, dirname, join, resolve } from 'node:path'
import { systemClock } from '../clock.ts'
import { BalancerError, reasonOf } from '../errors.ts'
import { parseWitnessKey } from '../log/cosignature.ts'
import { claimInstance, type Instance } from '../log/instance.ts'
import { parseOptions } from '../parse.ts'
import { stderrLogger } from '../runtime.ts'
import { step } from '../step.ts'
import { Catalogue } from './catalogue.ts'
import { Cosigning } from './cosigning.ts'
import { registerIn } from './fastify.ts'
import { Guard } from './guard.ts'
import { Holds } from './holds.ts'
import { Http, type Next } from './http.ts'
import { Intake } from './intake.ts'
import { Keeping } from './keeping.ts'
import { KeepingTime } from './keeping-time.ts'
import { openKey } from './key.ts'
import { KeyPolicy } from './keys.ts'
import { Logs } from './logs.ts'
import { Newcomers } from './newcomers.ts'
import { type WitnessConfig, type WitnessOptions, witnessSchema } from './options.ts'
import { Reports, type WitnessEvents } from './reports.ts'
import { type Roster, RosterKeeper } from './roster.ts'

export interface Witness {
  /**
   * Answers requests, as a handler of `node:http` (also HTTP/2 by its compatibility API) or a middleware of Express: a mount path
   * that Express strips is stripped. What is none of its paths goes to `next`, or is answered with 404. Mount it before body
   * parsers that read everything; those for JSON and forms leave its bodies alone.
   */
  readonly handler: (request: IncomingMessage, response: ServerResponse, next?: Next) => void
  /** A plugin of Fastify 4 and 5: `app.register(witness.fastify, { prefix: '/witness' })`. */
  readonly fastify: (app: object, options: object) => Promise<void>
  /** What is known of each log. Throws `closed` before `ready`. */
  roster(): Roster
  /** Calls the listener when a log goes over to another state (`origin`), and when something is refused (`refused`). */
  on<E extends keyof WitnessEvents>(name: E, listener: (event: WitnessEvents[E]) => unknown): void
  off<E extends keyof WitnessEvents>(name: E, listener: (event: WitnessEvents[E]) => unknown): void
  /** Resolves to the verifier key of the witness once it is open; rejects with `sink-unavailable` or `instance-held` if it cannot be. */
  ready(): Promise<string>
  /** Finishes what is under way; from then on nothing is taken. A second call waits for the first. */
  close(): Promise<void>
}

interface Open {
  readonly vkey: string
  readonly intake: Intake
  readonly roster: RosterKeeper
  readonly keeping: Keeping
  readonly logs: Logs
  readonly lock: Instance
}

/** Opens a witness in a folder. Throws `config-invalid` for options that are not valid. Only one may be at work in a folder. */
export function createWitness(options: WitnessOptions): Witness {
  const config = parseOptions(witnessSchema, options, 'createWitness')
  const clock = config.clock ?? systemClock
  const reports = new Reports(clock, config.logger ?? stderrLogger, config.audit)
  const policy = new KeyPolicy(config.origins, config.accept)
  let open: Open | undefined
  const opening = openWitness(config, reports, policy).then((opened) => {
    open = opened
    return opened
  })
  // Whoever does not call ready() is told at the first request.
  opening.catch(() => undefined)
  let closing: Promise<void> | undefined
  const http = new Http({
    guard: new Guard(config.tokens as ConstructorParameters<typeof Guard>[0], config.authorize),
    clock,
    limits: config.limits,
    opened: () => opening,
    onRefused: (refusal, facts) => reports.refused(refusal, facts),
    onFault: (error) => reports.fault(error),
  })
  const handle = (request: IncomingMessage, response: ServerResponse, url: string, next?: Next): void => {
    http.handle(request, response, url, next).catch((error: unknown) => reports.fault(error))
  }
  return {
    handler: (request, response, next) => handle(request, response, request.url ?? '/', next),
    fastify: registerIn(handle),
    roster() {
      if (open === undefined) throw new BalancerError('closed', 'the witness is not open')
      return open.roster.get()
    },
    on: (name, listener) => reports.on(name, listener),
    off: (name, listener) => reports.off(name, listener),
    ready: async () => (await opening).vkey,
    close() {
      closing ??= opening.then(
        (opened) => closeWitness(opened, (error) => reports.fault(error)),
        () => undefined,
      )
      return closing
    },
  }
}

async function openWitness(config: WitnessConfig, reports: Reports, policy: KeyPolicy): Promise<Open> {
  const { dir, mode, limits, segment, silentAfterMs } = config
  const clock = config.clock ?? systemClock
  const onFault = (error: unknown): void => reports.fault(error)
  let lock: Instance | undefined
  try {
    const path = resolve(dir)
    lock = await claimInstance(dirname(path), basename(path))
    const cosigner = await openKey(dir, config.name, config.key)
    await writeFile(join(dir, 'witness.vkey'), `${cosigner.vkey}\n`, { mode })
    const catalogue = new Catalogue(dir)
    await catalogue.load()
    const roster = new RosterKeeper(catalogue, {
      dir,
      mode,
      silentAfterMs,
      clock,
      onChange: (change) => reports.changed(change),
      onFault,
    })
    await roster.load()
    const time = new KeepingTime(clock)
    const own = [cosigner.vkey, ...config.formerKeys].map((vkey) => parseWitnessKey(vkey).notes)
    const logs = new Logs(limits.openLogs, { mode, segment, cosigner, own, now: () => time.now(), onFault })
    const keeping = new Keeping(catalogue, logs, {
      maxBytes: config.maxBytes,
      retention: config.retention,
      holds: new Holds(dir),
      time,
      clock,
      onFault,
    })
    await keeping.start()
    const cosigning = new Cosigning({ cosigner, policy, roster, clock, mode })
    const newcomers = new Newcomers({ catalogue, roster, policy, cosigning, clock, limits })
    const intake = new Intake({
      catalogue,
      logs,
      roster,
      cosigning,
      clock,
      mode,
      admit: (origin, sender) => newcomers.admit(origin, sender),
      room: (bytes) => keeping.room(bytes),
      grown: () => keeping.grown(),
    })
    return { vkey: cosigner.vkey, intake, roster, keeping, logs, lock }
  } catch (error) {
    await lock?.release()
    if (error instanceof BalancerError) throw error
    throw new BalancerError('sink-unavailable', `the witness in ${dir}: ${reasonOf(error)}`, { cause: error })
  }
}

/** Each step is taken, whatever becomes of the ones before. */
async function closeWitness({ keeping, logs, roster, lock }: Open, failed: (error: unknown) => void): Promise<void> {
  const steps = [() => keeping.stop(), () => logs.close(), () => roster.stop(), () => lock.release()]
  for (const one of steps) await step(one, undefined, failed)
}

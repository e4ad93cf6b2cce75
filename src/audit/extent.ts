// How much of a request is recorded, and in what form: what the trail hands to those who make the records.
import type { Json } from '../canonical.ts'
import type { Clock } from '../clock.ts'
import type { LevelOf, RequestFacts } from '../events.ts'
import { harmless } from './enrich.ts'
import type { AuditConfig } from './options.ts'
import { Policy } from './policy.ts'
import { createRedactor, type Redactor } from './redact.ts'

export interface Extent {
  readonly redactor: Redactor
  /** Undefined where all is recorded, at the usual level. */
  readonly levelOf: LevelOf | undefined
  /** What the host says of a request. Never throws. */
  readonly enrich: ((facts: RequestFacts) => Json | undefined) | undefined
  /** What was left out so far, by rule and event; undefined if nothing was. */
  readonly skipped: Record<string, Record<string, number>> | undefined
}

/** `onFault` is told of what the host's functions do wrong. */
export function extentOf(config: AuditConfig, clock: Clock, onFault: (what: string, error: unknown) => void): Extent {
  const policy = config.policy === undefined ? undefined : new Policy(config.policy)
  return {
    redactor: createRedactor(config.redact, { clock, onFault }),
    levelOf: policy === undefined ? undefined : (name, facts) => policy.level(name, facts),
    enrich:
      config.enrich === undefined ? undefined : harmless(config.enrich, (error) => onFault('audit.enrich', error)),
    get skipped() {
      return policy?.skipped
    },
  }
}

// The public names of the core. No logic.
export type { TrustFunction } from './access/trust.ts'
export type { Audit, AuditClosed } from './audit/audit.ts'
export type { Listener } from './audit/bus.ts'
export { createAudit } from './audit/create.ts'
export type { Enrich, Enrichment } from './audit/enrich.ts'
export type { AuditOptions } from './audit/options.ts'
export { type PrunedRange, type PruneOptions, type PruneReport, pruneLog } from './audit/prune.ts'
export type { Denial, Reading } from './audit/record.ts'
export type { Backend, BackendOptions, BackendState } from './backend.ts'
export { createBalancer } from './balancer.ts'
export type { Clock, Timer } from './clock.ts'
export type { BalancerOptions, PoolChanges } from './config.ts'
export type { Authorize, ChangeRequest } from './control/authorize.ts'
export type { DrainNote, LeaveNote, Operator } from './control/operator.ts'
export type { ChangeNote } from './control/revisions.ts'
export type {
  Decision,
  Exclusion,
  ExclusionReason,
  Lease,
  LeaseOutcome,
  PickReason,
  StickyVerdict,
  Trace,
  TracedCandidate,
} from './decision.ts'
export type { DiscoveryOptions } from './discovery/options.ts'
export { BalancerError, type Blame, type ErrorCode, failures, type Problem } from './errors.ts'
export type { Actor } from './event-parts.ts'
export { type AuditEvent, type EventName, eventSchema, type RequestFacts } from './events.ts'
export type { Balancer } from './face.ts'
export type { LogFilters } from './log/filters.ts'
export type { Hold } from './log/hold-file.ts'
export { type HoldOptions, liftHold, listHolds, placeHold } from './log/holds.ts'
export type { Gaps, LogProblem, LogReport } from './log/log-report.ts'
export { proveLine } from './log/prove.ts'
export { queryLog } from './log/query.ts'
export type { StreamLogReport } from './log/stream-report.ts'
export { type VerifyOptions, type VerifyReport, verifyLog } from './log/verify.ts'
export type { AsideReport, InstanceReport } from './log/verify-instance.ts'
export { type ProofReport, type VerifyProofOptions, verifyProof } from './log/verify-proof.ts'
export { type StreamReport, type VerifyStreamOptions, verifyStream } from './log/verify-stream.ts'
export type { AttemptResult, RequestResult } from './outcome.ts'
export type { RuleFacts, ValueFunction } from './proxy/header-rules.ts'
export type { AdapterPort, HandleOptions, UpgradeOptions } from './proxy/ports.ts'
export { type Random, seededRandom } from './random.ts'
export { type RecordedDecision, replay } from './replay.ts'
export type { PickRequest } from './request.ts'
export type { BackendSnapshot, BalancerSnapshot } from './routing/snapshot.ts'
export type { Logger } from './runtime.ts'
export type {
  ActNote,
  AnySink,
  Batch,
  Feed,
  LineEvent,
  LogName,
  LogStore,
  MissingLines,
  SignedCheckpoint,
  Sink,
  SinkContext,
  SinkFilter,
} from './sink.ts'
export * from './sinks/index.ts'
export type { StrategyOptions } from './strategies/index.ts'
export type { Draft, Observation, Strategy, Tracer } from './strategy.ts'
export { version } from './version.ts'

// What the bench of events measures: parts that the package does not export.
export { auditSchema } from '../../src/audit/options.ts'
export { Trail } from '../../src/audit/trail.ts'
export { systemClock } from '../../src/clock.ts'
export { Journal } from '../../src/proxy/journal.ts'
export { OpenRequests } from '../../src/proxy/open-requests.ts'
export { fileSink } from '../../src/sinks/file.ts'

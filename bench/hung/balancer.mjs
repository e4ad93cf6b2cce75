// The subject: a balancer that logs to a file and to a collector, and where it is told so to a sink that hangs.
import { fileSink, httpSink } from '../../dist/index.js'
import { listenWith } from '../lib/auditlb.mjs'
import { dir } from '../lib/peer.mjs'

const { collector, hung } = JSON.parse(process.argv[2])
const sinks = [fileSink({ dir }), httpSink({ url: collector, intervalMs: 100 })]
if (hung !== undefined) sinks.push(httpSink({ name: 'hung', url: hung, timeoutMs: 2000 }))
listenWith(sinks)

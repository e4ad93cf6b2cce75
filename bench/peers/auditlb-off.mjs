// auditlb without sinks: the hop and the events, nothing written.
import { listenWith } from '../lib/auditlb.mjs'

listenWith([])

// auditlb without sinks, over Node's own client.
import { listenWith } from '../lib/auditlb.mjs'

listenWith([], { transport: 'http' })

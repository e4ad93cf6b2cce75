// auditlb with every request as a line on stdout, which is /dev/null here.
import { stdoutSink } from '../../dist/index.js'
import { listenWith } from '../lib/auditlb.mjs'

listenWith([stdoutSink()])

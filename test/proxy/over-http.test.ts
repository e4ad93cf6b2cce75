// The same hop over `node:http`: what a client and the log see is the same.
import { useTransport } from '../support/edge.ts'
import './aborts.test.ts'
import './body.test.ts'
import './breach.test.ts'
import './early.test.ts'
import './errors.test.ts'
import './expect.test.ts'
import './framing.test.ts'
import './hostile.test.ts'
import './interim.test.ts'
import './late.test.ts'
import './limits.test.ts'
import './poison.test.ts'
import './rules.test.ts'
import './streaming.test.ts'

useTransport('http')

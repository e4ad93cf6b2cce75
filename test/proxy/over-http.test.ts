// The same hop over `node:http`: what a client and the log see is that of undici.
import { useTransport } from '../support/edge.ts'
import './aborts.test.ts'
import './body.test.ts'
import './errors.test.ts'
import './framing.test.ts'
import './hostile.test.ts'
import './interim.test.ts'
import './late.test.ts'
import './poison.test.ts'
import './streaming.test.ts'

useTransport('http')

// Every transport keeps the contract.
import { directTransport } from '../../src/transports/direct.ts'
import { httpTransport } from '../../src/transports/http.ts'
import { http2Transport } from '../../src/transports/http2.ts'
import { undiciTransport } from '../../src/transports/undici.ts'
import { keepsTheContract } from '../contracts/transport.ts'
import { http2Backend, httpBackend } from '../support/backends.ts'

keepsTheContract('direct', directTransport, httpBackend, { keepsCase: true, guardsAll: true })
keepsTheContract('undici', undiciTransport, httpBackend, { keepsCase: true, guardsAll: false, ownTimers: true })
keepsTheContract('http', httpTransport, httpBackend, { keepsCase: true, guardsAll: true })
keepsTheContract('http2', http2Transport, http2Backend, { keepsCase: false, guardsAll: true })

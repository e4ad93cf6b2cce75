// The adapter for Express keeps what every adapter promises, in both versions.
import { expressBalancer } from '../../src/adapters/express.ts'
import { expressVersions, presetting, serveApp } from '../support/express.ts'
import { conforms } from './conformance.ts'

for (const { name, express } of expressVersions)
  conforms({
    name: `expressBalancer on ${name}`,
    prefix: '/api',
    route: '/api',
    start(balancer, options) {
      const app = express()
      app.use(presetting(options.preset))
      app.use('/api', expressBalancer(balancer))
      return serveApp(app)
    },
  })

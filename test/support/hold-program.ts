// Claims a slot in a folder, says which, and holds it until it is ended.
import { BalancerError } from '../../src/errors.ts'
import { claimInstance } from '../../src/log/instance.ts'
import { argv, stdout } from '../../src/runtime.ts'

const [dir = '', name] = argv()
try {
  const instance = await claimInstance(dir, name)
  stdout.write(`holds ${instance.name}\n`)
  setInterval(() => {}, 60_000)
} catch (error) {
  stdout.write(`refused ${error instanceof BalancerError ? error.code : error}\n`)
}

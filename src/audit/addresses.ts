// Where addresses of clients stand besides the field that is for them.
import { isIP } from 'node:net'

const ofAddresses =
  /(?:^|[-_.])(?:(?:client|peer|real|remote|socket|source|src|user|viewer|visitor)?(?:ip(?:v?[46])?|addr(?:ess)?)(?:[-_.]|$)|forwarded(?:$|[-_.]for(?:[-_.]|$)))/

/** Whether a header of this name, in lower case, holds the address of a client: `ip` or `address` is a word of it, or it is `forwarded`. */
export const tellsAddress = (name: string): boolean => ofAddresses.test(name)

/** What stands around an address: in a list, in `for="[2001:db8::1]:443"`, in `ip=203.0.113.9`. */
const around = /[\s,;="'[\]()]+/
const port = /^([\d.]+):\d{1,5}$/

/** Whether an address is written in a value, whatever it is called. */
export const holdsAddress = (value: string): boolean =>
  value.split(around).some((part) => isIP(part.replace(port, '$1')) !== 0)

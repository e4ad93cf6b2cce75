// Keys and certificates, made for one run, so that the examples of TLS run by themselves. They need `openssl`.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const day = ['-days', '1']
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** An authority of its own: `ca` is its certificate, and `issue(names)` makes a key with a certificate that it has signed. */
export function makeAuthority() {
  const dir = mkdtempSync(join(tmpdir(), 'certificates-'))
  process.once('exit', () => rmSync(dir, { recursive: true, force: true }))
  const at = (name) => join(dir, name)
  const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore' })
  openssl('req', '-x509', ...newKey, ...day, '-subj', '/CN=examples', '-keyout', at('ca.key'), '-out', at('ca'))
  return {
    ca: readFileSync(at('ca')),
    /** `names` as in `DNS:localhost,IP:127.0.0.1`. */
    issue(names) {
      writeFileSync(at('names'), `subjectAltName=${names}`)
      openssl('req', ...newKey, '-subj', '/CN=issued', '-keyout', at('key'), '-out', at('asked'))
      const signer = ['-CA', at('ca'), '-CAkey', at('ca.key'), '-CAcreateserial', '-extfile', at('names')]
      openssl('x509', '-req', '-in', at('asked'), ...signer, ...day, '-out', at('cert'))
      return { key: readFileSync(at('key')), cert: readFileSync(at('cert')) }
    },
  }
}

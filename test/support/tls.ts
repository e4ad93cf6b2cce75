// Keys and certificates for tests, made when they are needed.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tempFolder } from './folder.ts'

/** A key and a certificate for this name that nobody has signed but itself. */
export function selfSigned(name = 'localhost'): { readonly key: string; readonly cert: string } {
  const dir = tempFolder()
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', '-x509', ...kind, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
}

export interface Pair {
  readonly key: string
  readonly cert: string
}

export interface Authority {
  readonly cert: string
  /** A key and a certificate for these names (`DNS:localhost`, `IP:127.0.0.1`), which is over already with `days: -1`. */
  issue(names: string, options?: { readonly days?: number; readonly passphrase?: string }): Pair
  /** The same as PKCS #12. */
  bundle(pair: Pair, passphrase: string): Buffer
  /** Deletes its files: what it has issued stays good. */
  remove(): void
}

/** An authority that signs certificates, for all tests of a file. */
export function authority(): Authority {
  const dir = mkdtempSync(join(tmpdir(), 'auditlb-'))
  const at = (name: string): string => join(dir, name)
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore' })
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
  openssl(
    'req',
    '-x509',
    ...kind,
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=authority',
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca'),
  )
  let issued = 0
  return {
    cert: readFileSync(at('ca'), 'utf8'),
    issue(names, { days = 2, passphrase } = {}) {
      const [key, asked, cert, extensions] = ['key', 'csr', 'pem', 'ext'].map((end) => at(`${issued}.${end}`)) as [
        string,
        string,
        string,
        string,
      ]
      issued++
      writeFileSync(extensions, `subjectAltName=${names}`)
      const lock = passphrase === undefined ? ['-nodes'] : ['-passout', `pass:${passphrase}`]
      openssl('req', ...kind, ...lock, '-subj', '/CN=issued', '-keyout', key, '-out', asked)
      const signer = ['-CA', at('ca'), '-CAkey', at('ca.key'), '-CAcreateserial']
      openssl('x509', '-req', '-in', asked, ...signer, '-days', String(days), '-extfile', extensions, '-out', cert)
      return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
    },
    remove: () => rmSync(dir, { recursive: true, force: true }),
    bundle({ key, cert }, passphrase) {
      writeFileSync(at('bundle.pem'), `${key}${cert}`)
      openssl('pkcs12', '-export', '-in', at('bundle.pem'), '-passout', `pass:${passphrase}`, '-out', at('bundle.p12'))
      return readFileSync(at('bundle.p12'))
    },
  }
}

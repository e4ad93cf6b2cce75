// TLS to collectors: the settings in the form that Node's `connect` takes.
import type { TlsSettings } from '../../tls.ts'

/** `serverName` is what the certificate must be for, where that is not the host of the address. */
export function securityOf(tls: TlsSettings | undefined, serverName: string | undefined) {
  const { ca, cert, key, ...rest } = { ...tls }
  return {
    ...rest,
    ...(ca === undefined ? {} : { ca: [...ca] }),
    ...(cert === undefined ? {} : { cert: [...cert] }),
    ...(key === undefined ? {} : { key: [...key] }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  }
}

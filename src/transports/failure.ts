// Foreign error codes, mapped to our results in one place.
import type { AttemptFailure, FailedResult } from '../outcome.ts'
import { HandshakeError } from './dial.ts'
import type { TransportSettings } from './settings.ts'

const byCode: Readonly<Record<string, FailedResult>> = {
  ECONNREFUSED: 'connect-refused',
  ENOTFOUND: 'dns-failed',
  EAI_AGAIN: 'dns-failed',
  EAI_FAIL: 'dns-failed',
  EHOSTUNREACH: 'connect-failed',
  ENETUNREACH: 'connect-failed',
  EADDRNOTAVAIL: 'connect-failed',
  EMFILE: 'connect-failed',
  ENFILE: 'connect-failed',
  EACCES: 'connect-failed',
  ENOENT: 'connect-failed',
  ETIMEDOUT: 'connect-timeout',
  UND_ERR_CONNECT_TIMEOUT: 'connect-timeout',
  UND_ERR_HEADERS_TIMEOUT: 'header-timeout',
  UND_ERR_BODY_TIMEOUT: 'body-timeout',
  UND_ERR_HEADERS_OVERFLOW: 'response-invalid',
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'backend-cut',
  // undici asserts that no backend switches protocols unasked.
  ERR_ASSERTION: 'response-invalid',
  UND_ERR_CLOSED: 'internal',
  UND_ERR_DESTROYED: 'internal',
  UND_ERR_INVALID_ARG: 'internal',
  UND_ERR_NOT_SUPPORTED: 'internal',
  UND_ERR_REQ_CONTENT_LENGTH_MISMATCH: 'internal',
}

/** How far an attempt had come. */
export interface Progress {
  readonly connected: boolean
  readonly responded: boolean
}

export function failureOf(error: unknown, progress: Progress): AttemptFailure {
  const code = codeOf(error)
  // undici has one code for whatever happens to a socket: its message says what did.
  const told = code === 'UND_ERR_SOCKET' ? undefined : code
  const detail = told ?? (error instanceof Error ? error.message : String(error))
  const result = error instanceof HandshakeError ? handshakeResultOf(code) : resultOf(code, progress)
  return { result, sent: progress.connected, detail }
}

const handshakeResultOf = (code: string | undefined): FailedResult =>
  code === 'ETIMEDOUT'
    ? 'connect-timeout'
    : code !== undefined && isVerdict(code)
      ? 'certificate-refused'
      : 'tls-failed'

function resultOf(code: string | undefined, progress: Progress): FailedResult {
  const known = code === undefined ? undefined : byCode[code]
  if (known !== undefined) {
    // What is wrong with a head that was not taken for a response yet cut nothing off.
    if (known === 'backend-cut' && !progress.responded) return 'response-invalid'
    // An established connection can time out in the system too.
    if (known === 'connect-timeout' && progress.connected) return progress.responded ? 'body-timeout' : 'header-timeout'
    return known
  }
  if (code !== undefined && /^HPE_/.test(code)) return 'response-invalid'
  if (progress.responded) return 'backend-cut'
  // What the backend thinks of our certificate it may say after its part of the handshake (RFC 8446 section 4.4.2.4). Keys
  // and ciphers that OpenSSL does not take are refused before there is a connection.
  if (code !== undefined && /^(ERR_TLS|ERR_SSL|ERR_OSSL|EPROTO)/.test(code)) return 'tls-failed'
  return progress.connected ? 'backend-reset' : 'connect-failed'
}

/** The codes of what is wrong with a certificate: those of OpenSSL's verification, and of the name. */
const isVerdict = (code: string): boolean =>
  /^(ERR_TLS_CERT_|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERROR_IN_|HOSTNAME_|INVALID_(CA|PURPOSE)|PATH_LENGTH_|UNSPECIFIED)/.test(
    code,
  )

// When all addresses of a name fail, Node reports them as an AggregateError: the first one tells.
function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  if (typeof error !== 'object' || error === null) return undefined
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  // undici leaves the code of its parser's errors empty.
  if (code === undefined && error instanceof Error && error.name === 'HTTPParserError') return 'HPE_INVALID'
  // Nor has it a code for a response that nobody has asked for: 100, or an upgrade.
  if (code === 'UND_ERR_SOCKET' && /^bad (?:response|upgrade)$/.test((error as Error).message)) return 'HPE_UNASKED'
  if (typeof code === 'string') return code === 'UND_ERR_SOCKET' ? (codeOf(cause) ?? code) : code
  return codeOf(cause)
}

/** Of an attempt whose backend has let its time go by. */
export const lateFailure = (
  responded: boolean,
  { headerMs, bodyIdleMs }: TransportSettings['timeouts'],
): AttemptFailure =>
  responded
    ? { result: 'body-timeout', sent: true, detail: `nothing came for ${bodyIdleMs} ms` }
    : { result: 'header-timeout', sent: true, detail: `no response within ${headerMs} ms` }

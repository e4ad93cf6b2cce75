// Foreign error codes, mapped to our results in one place.
import type { AttemptFailure, FailedResult } from '../outcome.ts'

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
  return { result: resultOf(code, progress), sent: progress.connected, detail }
}

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
  if (!progress.connected) return code !== undefined && isTls(code) ? 'tls-failed' : 'connect-failed'
  return progress.responded ? 'backend-cut' : 'backend-reset'
}

const isTls = (code: string): boolean =>
  /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|EPROTO|HOSTNAME_MISMATCH|CRL_)/.test(code)

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

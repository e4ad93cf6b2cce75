// What the end of a stream of HTTP/2 says of its request.
import { type ClientHttp2Stream, constants } from 'node:http2'
import type { AttemptFailure, FailedResult } from '../outcome.ts'
import type { Http2Session } from './http2-session.ts'

/** The codes of RFC 9113 section 7, by their numbers. */
const codeNames = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
]

/** Why a stream has closed before its response was whole. */
export function failureOfStream(stream: ClientHttp2Stream, session: Http2Session, responded: boolean): AttemptFailure {
  const { rstCode = constants.NGHTTP2_NO_ERROR, id } = stream
  const unseen = id === undefined || (session.lastStream !== undefined && id > session.lastStream)
  const sent = !unseen && rstCode !== constants.NGHTTP2_REFUSED_STREAM
  const broken = session.error as (Error & { code?: string }) | undefined
  const detail = unseen ? 'GOAWAY' : (broken?.code ?? broken?.message ?? codeNames[rstCode] ?? String(rstCode))
  return { result: responded ? 'backend-cut' : resultOf(rstCode, broken?.code), sent, detail }
}

function resultOf(rstCode: number, sessionCode: string | undefined): FailedResult {
  if (sessionCode === 'ERR_HTTP2_ERROR') return 'response-invalid'
  return invalid.has(rstCode) ? 'response-invalid' : 'backend-reset'
}

/** By these codes a side says that what it got is not as it must be. */
const invalid = new Set([
  constants.NGHTTP2_PROTOCOL_ERROR,
  constants.NGHTTP2_FLOW_CONTROL_ERROR,
  constants.NGHTTP2_FRAME_SIZE_ERROR,
  constants.NGHTTP2_COMPRESSION_ERROR,
  constants.NGHTTP2_ENHANCE_YOUR_CALM,
  constants.NGHTTP2_HTTP_1_1_REQUIRED,
])

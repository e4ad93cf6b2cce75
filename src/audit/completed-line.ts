// The line of a request that is over, written by hand: nearly all lines of a log are such, and what most of them have in
// common is worked out once. It is what `canonical` makes of the same event; test/audit/completed-line.test.ts holds that.
import { canonical, type Json, Written } from '../canonical.ts'
import type { AuditEvent } from '../events.ts'
import { lbText } from './lb-line.ts'
import { after, before, eachText, last, lastOf, number, quoted, type Some } from './line-parts.ts'

type Completed = AuditEvent<'request.completed'>

/** Parts that change seldom. */
const audit = last((bootId: string) => `"audit":{"boot_id":${quoted(bootId)},"index":`)
const origin = last((text: string) => `,"origin":${quoted(text)}},"client":{"address":`)
const source = eachText((text) => `,"source":"${text}"}`)
const cloud = last((value: object) => `,"cloud":${canonical(value as Json)}`)
const method = eachText((text) => `"method":${quoted(text)}},"response":{"body":{"size":`)
const protocol = last((value: object) => `},"protocol":${canonical(value as Json)}}`)
const service = lastOf(
  (value: object, outcome: string, severity: number, spanId: string | undefined) =>
    `,"outcome":"${outcome}","schema_version":1,"service":${canonical(value as Json)},"severity":${number(severity)}${after('span_id', spanId)},"time":`,
)
const time = last((text: string) => quoted(text))
const status = eachText((text) => `},"status_code":${text}}`)

/** Methods are few, but clients can invent them. */
const mostMethod = 16

/** The line; undefined where there is something in it that this does not write. */
export function completedLine(event: Completed): string | undefined {
  const { app, client, http, network, url } = event
  const { request, response } = http
  const { boot_id, index, mono_us, origin: log, truncated } = event.audit
  if (log === undefined || index === undefined || truncated !== undefined || network.protocol === undefined)
    return undefined
  const address = quoted(client.address)
  const peer = network.peer.address === client.address ? address : quoted(network.peer.address)
  let text = app === undefined ? '{' : `{${before('app', app as Some)}`
  text += audit(boot_id) + number(index)
  text += `,"mono_us":${number(mono_us)}`
  text += origin(log) + address
  if (client.port !== undefined) text += `,"port":${number(client.port)}`
  text += source(client.source)
  if (event.cloud !== undefined) text += cloud(event.cloud)
  text += `,"event_name":"request.completed","http":{"request":{"body":{"size":${number(request.body.size)}},`
  text += headers(request)
  text += request.method.length > mostMethod ? methodText(request.method) : method(request.method)
  text += number(response.body.size)
  text += answer(response)
  text += http.route === undefined ? '},"lb":' : `${after('route', http.route)}},"lb":`
  text += lbText(event.lb)
  text += `,"network":{"peer":{"address":${peer}`
  if (network.peer.port !== undefined) text += `,"port":${number(network.peer.port)}`
  text += protocol(network.protocol)
  text += service(event.service, event.outcome, event.severity, event.span_id) + time(event.time)
  if (event.tls !== undefined) text += after('tls', event.tls)
  if (event.trace_id !== undefined) text += after('trace_id', event.trace_id)
  return `${text},"url":${place(url)}}`
}

const methodText = (text: string): string => `"method":${quoted(text)}},"response":{"body":{"size":`

/** `header` is written already, where it comes from the redaction. */
function headers({ header, headers_omitted }: Completed['http']['request']): string {
  const kept: unknown = header
  if (kept instanceof Written && headers_omitted === undefined) return `"header":${kept.json},`
  return `${before('header', header)}${before('headers_omitted', headers_omitted)}`
}

function answer({ header, headers_omitted, status_code }: Completed['http']['response']): string {
  if (header === undefined && headers_omitted === undefined && status_code !== undefined && status_code < 1000)
    return status(number(status_code))
  return `}${after('header', header)}${after('headers_omitted', headers_omitted)}${after('status_code', status_code)}}`
}

const place = (url: Completed['url']): string =>
  url.query === undefined &&
  url.path_params === undefined &&
  url.original_path === undefined &&
  url.query_omitted === undefined
    ? `{"path":${quoted(url.path)}}`
    : canonical(url as Json)

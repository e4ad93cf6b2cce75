// The sinks of the library. Adding one is a file and a line here.
export { type FileSinkOptions, fileSink } from './file.ts'
export {
  type Answer,
  type DatadogOptions,
  type Format,
  type FormatName,
  formats,
  type LineMap,
  type LokiOptions,
  type MapOptions,
  type Mapping,
  type OtlpOptions,
  type Payload,
  type SplunkOptions,
  toEcs,
  toOcsf,
  toOtel,
} from './formats/index.ts'
export { type HttpSinkOptions, httpSink } from './http.ts'
export { type StdoutSinkOptions, stdoutSink } from './stdout.ts'
export { type SyslogSinkOptions, syslogSink } from './syslog.ts'
export { type Cosigned, type WitnessSink, type WitnessSinkOptions, witnessSink } from './witness.ts'

// The sinks of the library. Adding one is a file and a line here.
export { type FileSinkOptions, fileSink } from './file.ts'
export { type HttpSinkOptions, httpSink } from './http.ts'
export { type StdoutSinkOptions, stdoutSink } from './stdout.ts'

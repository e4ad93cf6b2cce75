// Reads and writes the streams of the process, and stops quietly when the reader has gone.
import type { Readable, Writable } from 'node:stream'
import type { Terminal } from './verb.ts'

/** A reader that leaves, as `head` does, is no fault: what follows is dropped. Other errors of a stream are thrown. */
export function terminalOver(stdin: Readable, stdout: Writable, stderr: Writable): Terminal {
  return { in: stdin, out: writerTo(stdout), err: writerTo(stderr) }
}

function writerTo(stream: Writable): (text: string) => Promise<boolean> {
  let gone = false
  stream.on('error', (error: NodeJS.ErrnoException) => {
    gone = true
    if (error.code !== 'EPIPE') throw error
  })
  return (text) =>
    new Promise((resolve) => {
      if (gone) resolve(false)
      else stream.write(text, (error) => resolve(error === null || error === undefined))
    })
}

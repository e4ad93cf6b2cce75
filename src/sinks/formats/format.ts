// The contract of a format: what a batch becomes as the body of a request, and what an answer to it means.
import type { Batch } from '../../sink.ts'

/** An answer with a status of 2xx. */
export interface Answer {
  readonly status: number
  /** The body, as far as it has at most 4 MiB. */
  readonly body: string
}

export interface Payload {
  readonly contentType: string
  readonly body: string
  /** Headers besides `content-type`; those of the sink's options go before them. */
  readonly headers?: Readonly<Record<string, string>>
  /**
   * Reads the answer where its status alone does not say that all lines were accepted. Throws what the sink's `write` shall
   * reject with, with the members that the contract of a sink names; returns what else is to be told to the logger.
   */
  accepted?(answer: Answer): string | undefined
}

/** Must be pure, and must give the same for the same batch: a batch that was not accepted comes again. */
export interface Format {
  (batch: Batch): Payload
  /** Makes the same, and gives the event loop a turn again and again. The batch must not change meanwhile. */
  readonly inTurns?: (batch: Batch) => Promise<Payload>
}

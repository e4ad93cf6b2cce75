// The deliveries of a trail: one for each sink, all fed from the store that is written now.
import { BalancerError, reasonOf } from '../errors.ts'
import { parseOptions } from '../parse.ts'
import { isStore, type LineFeed, type LogName, type Sink, type SinkContext } from '../sink.ts'
import { step } from '../step.ts'
import { Delivery, type DeliveryOptions } from './delivery.ts'
import { sinkSchema } from './sink-schema.ts'

export class Deliveries {
  readonly #list: Delivery[] = []
  readonly #options: DeliveryOptions
  readonly #open: () => SinkContext
  /** Where lines come from; undefined before the log is open. Written by attach. */
  #source: LineFeed | undefined
  readonly #opening: { readonly name: string; readonly opening: Promise<void> }[] = []

  constructor(options: DeliveryOptions, open: () => SinkContext) {
    this.#options = options
    this.#open = open
  }

  get any(): boolean {
    return this.#list.length > 0
  }

  /** Whether some sink wants checkpoints. */
  get sign(): boolean {
    return this.#list.some(({ sink }) => sink.checkpoint !== undefined)
  }

  add(sink: Sink): Delivery {
    const delivery = new Delivery(sink, this.#options)
    this.#list.push(delivery)
    return delivery
  }

  /** Takes in a sink that the host adds while events flow: it gets the lines from now on. `announce` is called before. */
  addLater(sink: Sink, taken: string | undefined, announce: () => void): void {
    parseOptions(sinkSchema, sink, 'addSink')
    if (isStore(sink)) throw new BalancerError('config-invalid', 'addSink: a file sink is given at the start')
    if ([taken, ...this.#list.map((one) => one.sink.name)].includes(sink.name))
      throw new BalancerError('config-invalid', `addSink: there is a sink named ${JSON.stringify(sink.name)}`)
    announce()
    const delivery = this.add(sink)
    // Before the log is open it is opened with the others.
    if (this.#source === undefined) return
    void delivery.attach(this.#source)
    delivery.open(this.#open()).catch((error: unknown) => {
      this.#options.logger.error({ sink: sink.name, error: reasonOf(error) }, 'an audit sink cannot be opened')
    })
  }

  /** From now on lines come from here. The first time opens the sinks. */
  attach(source: LineFeed): void {
    const first = this.#source === undefined
    this.#source = source
    for (const delivery of this.#list) {
      void delivery.attach(source)
      if (first) this.#opening.push({ name: delivery.sink.name, opening: delivery.open(this.#open()) })
    }
    // They are asked for their faults later, or never.
    for (const { opening } of this.#opening) opening.catch(() => undefined)
  }

  /** Resolves once all sinks are open that were there at first; `failed` is called for each that cannot be. */
  async opened(failed: (sink: string, error: unknown) => void): Promise<void> {
    await Promise.all(this.#opening.map(({ name, opening }) => opening.catch((error: unknown) => failed(name, error))))
  }

  readonly grown = (): void => {
    for (const delivery of this.#list) delivery.grown()
  }

  /** Resolves once the sink of this name has got past a line. */
  async accepted(name: string | undefined, log: LogName, index: number): Promise<void> {
    await this.#list.find(({ sink }) => sink.name === name)?.accepted(log, index)
  }

  /** Whether the sink of this name is known to fail. */
  failing(name: string | undefined): boolean {
    return this.#list.some((one) => one.sink.name === name && one.failing)
  }

  /** Delivers what waits, for so long at most; tells of each sink how many lines it did not get. */
  async close(deadlineMs: () => number, count: (sink: string, lines: number) => void): Promise<void> {
    const close = async (one: Delivery): Promise<void> => {
      const { name } = one.sink
      const failed = (error: unknown): void =>
        this.#options.logger.error(
          { sink: name, error: reasonOf(error) },
          'the delivery to an audit sink did not end well',
        )
      count(name, (await step(() => one.close(deadlineMs()), undefined, failed)) ?? one.waiting)
    }
    await Promise.all(this.#list.map(close))
  }
}

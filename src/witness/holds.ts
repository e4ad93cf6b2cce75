// Legal holds in the folder of a witness, for all that is in it, and in those of services.
import { dirname } from 'node:path'
import { holdsIn } from '../log/holds.ts'
import type { LogName } from '../sink.ts'
import type { Origin } from './catalogue.ts'

const serviceDir = ({ folder }: Origin): string => dirname(folder.dir)

/** All reject for holds that cannot be listed: then nothing may be deleted. */
export class Holds {
  constructor(private readonly dir: string) {}

  /** Those of these logs that some hold keeps. */
  async among(entries: readonly Origin[]): Promise<ReadonlySet<Origin>> {
    const everywhere = await logsHeldIn(this.dir)
    const services = new Map<string, ReadonlySet<LogName>>()
    for (const dir of new Set(entries.map(serviceDir))) services.set(dir, await logsHeldIn(dir))
    return new Set(
      entries.filter((entry) => everywhere.has(entry.log) || services.get(serviceDir(entry))!.has(entry.log)),
    )
  }

  /** Whether one keeps this log. */
  async keep(entry: Origin): Promise<boolean> {
    return (await this.among([entry])).size > 0
  }
}

const logsHeldIn = async (dir: string): Promise<ReadonlySet<LogName>> =>
  new Set((await holdsIn(dir)).flatMap(({ logs }) => logs))

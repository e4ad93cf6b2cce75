// What a witness states must not make up for what its writer has signed, nor may anybody else state it.
import { generateKeyPairSync, sign } from 'node:crypto'
import { copyFileSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cosigner, cosignerOf, signAsWitness } from '../../src/log/cosignature.ts'
import { formatStatement } from '../../src/log/statement.ts'
import { type VerifyOptions, verifyLog } from '../../src/log/verify.ts'
import { tempFolder } from '../support/folder.ts'
import { HandLog, newSigner } from '../support/hand-log.ts'

const signer = newSigner('shop/a')
const newWitness = (): Cosigner => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  return cosignerOf('witness', publicKey, (message) => sign(null, message, privateKey))
}
const witness = newWitness()
const invented = newWitness()
let template: string
let note: string
let origin: string
let roster: string

beforeAll(async () => {
  template = mkdtempSync(join(tmpdir(), 'auditlb-'))
  const notes: Record<string, string> = {}
  for (const name of ['traffic', 'security', 'control']) {
    const log = await HandLog.begin(join(template, 'a'), name, signer)
    log.write(name === 'traffic' ? 600 : 2)
    notes[log.origin] = await log.sign()
    if (name === 'traffic') origin = log.origin
  }
  note = notes[origin]!
  const entries = Object.entries(notes).map(([one, text]) => {
    const [, size, root] = text.split('\n')
    return [one, { size: Number(size), root }]
  })
  roster = JSON.stringify({ origins: Object.fromEntries(entries) })
})
afterAll(() => rmSync(template, { recursive: true }))

/** A copy with a statement of this witness beside each of the logs, as a witness itself has it. */
async function held(by: Cosigner, pruned = 0, logs = ['traffic', 'security', 'control']): Promise<string> {
  const dir = tempFolder()
  cpSync(template, dir, { recursive: true })
  writeFileSync(join(dir, 'a/witness.vkey'), `${by.vkey}\n`)
  for (const log of logs) {
    const text = formatStatement({ origin: origin.replace('traffic', log), pruned, missing: [] })
    writeFileSync(join(dir, 'a', log, 'statement'), await signAsWitness(text, by))
  }
  return dir
}

function rewrite(dir: string): void {
  for (const name of readdirSync(join(dir, 'segments'))) {
    const path = join(dir, 'segments', name)
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll('request.completed', 'request.forgotten'))
  }
  rmSync(join(dir, 'checkpoint'))
  rmSync(join(dir, 'tile'), { recursive: true, force: true })
}

async function judged(dir: string, options: VerifyOptions = {}) {
  const { ok, authenticated, instances, problems } = await verifyLog(dir, options)
  const facts = [...instances.flatMap((one) => one.logs.flatMap((log) => log.problems)), ...problems]
  return { ok, authenticated, facts: facts.map(({ fact }) => fact) }
}

describe('a log without its checkpoint', () => {
  const missing = "the writer's checkpoint is missing: nothing here is signed"
  const seen = (by: string) => `the checkpoint is missing, and ${by} has seen 600 lines`
  const all = `${signer.vkey}\n${witness.vkey}`

  it('does not hold because a witness states something of it, whatever is given', async () => {
    const dir = await held(witness)
    expect(await judged(dir, { vkey: all, roster, checkpoints: note })).toMatchObject({ ok: true, authenticated: true })
    rewrite(join(dir, 'a/traffic'))
    const given: [VerifyOptions, string][] = [
      [{}, missing],
      [{ vkey: all }, missing],
      [{ roster }, seen('the roster')],
      [{ vkey: all, roster }, seen('the roster')],
      [{ checkpoints: note }, seen('the given checkpoint')],
      [{ vkey: all, roster, checkpoints: note }, seen('the roster')],
    ]
    for (const [options, fact] of given) {
      expect(await judged(dir, options)).toEqual({ ok: false, authenticated: false, facts: [fact] })
    }
  })

  it('does not hold on a node either, where somebody has put the statement', async () => {
    const dir = await held(witness, 0, ['traffic'])
    rewrite(join(dir, 'a/traffic'))
    expect(await judged(dir, { vkey: all })).toMatchObject({ ok: false, facts: [missing] })
  })

  it('does not hold with the key of the witness alone, also where no log has one', async () => {
    const dir = await held(witness)
    for (const log of ['traffic', 'security', 'control']) rewrite(join(dir, 'a', log))
    const facts = [missing, missing, missing]
    expect(await judged(dir, { vkey: witness.vkey })).toEqual({ ok: false, authenticated: false, facts })
  })
})

describe('a statement by the key that lies beside the logs', () => {
  async function emptied(by: Cosigner): Promise<string> {
    const dir = await held(by, 600, ['traffic'])
    rmSync(join(dir, 'a/traffic/segments/0000000000000000.jsonl'))
    return dir
  }
  const told = 'lines 0 to 599, which the checkpoint covers, are missing'
  const doubt = ({ vkey }: Cosigner) =>
    `; the witness that states it, ${vkey.split('+').slice(0, 2).join('+')}, is not one that was given`

  it('excuses no lines once something came from outside', async () => {
    const dir = await emptied(invented)
    for (const options of [{ roster }, { checkpoints: note }, { roster, checkpoints: note }]) {
      expect(await judged(dir, options)).toEqual({ ok: false, authenticated: false, facts: [told + doubt(invented)] })
    }
    expect((await judged(dir, { vkey: `${signer.vkey}\n${witness.vkey}` })).ok).toBe(false)
  })

  it('excuses them where nothing did, and where that is the witness that was given', async () => {
    const dir = await emptied(witness)
    expect(await judged(dir)).toEqual({ ok: true, authenticated: false, facts: [] })
    const vkey = `${signer.vkey}\n${witness.vkey}`
    expect(await judged(dir, { vkey, roster })).toEqual({ ok: true, authenticated: true, facts: [] })
  })

  it('is no obstacle where no line is missing', async () => {
    expect(await judged(await held(witness), { roster })).toEqual({ ok: true, authenticated: false, facts: [] })
  })

  it('is named where lines are missing at the front and in between as well', async () => {
    const dir = tempFolder()
    for (const name of ['traffic', 'security', 'control']) {
      const log = await HandLog.begin(join(dir, 'a'), name, signer)
      for (let i = 0; i < 4; i++) {
        log.write(100)
        log.newSegment()
      }
      await log.sign()
    }
    for (const first of ['000', '200']) rmSync(join(dir, `a/traffic/segments/0000000000000${first}.jsonl`))
    copyFileSync(join(await held(invented, 300), 'a/traffic/statement'), join(dir, 'a/traffic/statement'))
    writeFileSync(join(dir, 'a/witness.vkey'), `${invented.vkey}\n`)
    const checkpoints = readFileSync(join(dir, 'a/control/checkpoint'), 'utf8')
    expect((await judged(dir, { checkpoints })).facts).toEqual([
      `lines 0 to 99 are missing without a record of retention${doubt(invented)}`,
      `lines 200 to 299 are missing before it${doubt(invented)}`,
    ])
  })
})

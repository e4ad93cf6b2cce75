// What the library writes is verified by a program that has nothing of ours: Go's golang.org/x/mod, from Debian's packages.
import { execFile, execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { consistencyProof } from '../../src/log/log-proof.ts'
import { fromHash } from '../../src/log/merkle.ts'
import { type KeySigner, openNote, parseVkey, signerOf } from '../../src/log/note.ts'
import { proveLine } from '../../src/log/prove.ts'
import { openLog } from '../support/log.ts'

const packages = '/usr/share/gocode'
// `golang-go` and `golang-golang-x-mod-dev`. Where they must be there, their absence is a failure and no reason to skip.
const required = process.env.AUDITLB_INTEROP === 'required'
const present = existsSync(join(packages, 'src/golang.org/x/mod/sumdb/tlog')) && hasGo()

function hasGo(): boolean {
  try {
    execFileSync('go', ['version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

// Sizes around those where a tile is full, one level of them and two.
const sizes = {
  'a.0': { traffic: 65_793, security: 256, control: 257 },
  'a.1': { traffic: 255, security: 1, control: 0 },
}
const logs = Object.entries(sizes).flatMap(([instance, logs]) =>
  Object.entries(logs).map(([log, size]) => ({ instance, log, size })),
)
const edges = [1, 2, 3, 254, 255, 256, 257, 511, 512, 4097, 65_535, 65_536, 65_537, 65_792, 65_793]

describe.runIf(present || required)('golang.org/x/mod', () => {
  let dir: string
  let program: string

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'auditlb-'))
    program = join(dir, 'verify')
    const env = { HOME: dir, ...process.env, GO111MODULE: 'off', GOPATH: packages, GOFLAGS: '' }
    const building = promisify(execFile)('go', ['build', '-o', program, join(import.meta.dirname, 'go/main.go')], {
      env,
    })
    for (const [instance, { traffic, security, control }] of Object.entries(sizes)) {
      const log = await openLog({ dir: join(dir, 'audit'), instance, segment: { maxBytes: 4_000_000 } })
      for (let left = traffic; left > 0; left -= 5000) {
        await log.sink.durable('traffic', log.write('traffic', Math.min(left, 5000), { text: 'Grüße \u{1f600}' }))
      }
      log.write('security', security)
      log.write('control', control)
      await log.close()
    }
    await building
  }, 300_000)
  afterAll(() => rmSync(dir, { recursive: true }))

  const run = async (cases: object): Promise<string> => {
    const path = join(dir, 'cases.json')
    writeFileSync(path, JSON.stringify(cases))
    return (await promisify(execFile)(program, [path])).stdout
  }
  const folder = (instance: string, log: string) => join(dir, 'audit', instance, log)
  const originOf = (at: string) => readFileSync(join(at, 'checkpoint'), 'utf8').split('\n')[0]!

  it('verifies our notes, roots, tiles, lines and proofs, and makes the same proofs; and we open its notes', async () => {
    const cases: object[] = []
    let [proofs, growths] = [0, 0]
    for (const { instance, log, size } of logs) {
      const at = folder(instance, log)
      const indexes = [...new Set([0, ...edges.map((edge) => edge - 1), size - 1])].filter((i) => i >= 0 && i < size)
      const texts: string[] = []
      for (const index of indexes) texts.push(await proveLine(join(dir, 'audit'), originOf(at), index))
      const growth: object[] = []
      const grown = edges.filter((edge) => edge <= size)
      for (const [i, after] of grown.entries()) {
        for (const before of grown.slice(0, i + 1)) {
          const proof = (await consistencyProof(at, before, after)).map((one) => fromHash(one).toString('base64'))
          growth.push({ Old: before, New: after, Proof: proof })
        }
      }
      proofs += texts.length
      growths += growth.length
      cases.push({ Dir: at, Vkey: join(dir, 'audit', instance, 'vkey'), Proofs: texts, Growth: growth })
    }
    const { signer, skey } = newKey('example.org/go')
    const out = await run({ Logs: cases, Signed: { Skey: skey, Text: 'Grüße\nvon Go\n' } })
    const told = [...out.matchAll(/: (\d+) lines, (\d+) inclusion proofs, (\d+) consistency proofs$/gm)]
    const sums = [1, 2, 3].map((i) => told.reduce((sum, match) => sum + Number(match[i]), 0))
    expect(sums).toEqual([logs.reduce((sum, { size }) => sum + size, 0), proofs, growths])
    const note = Buffer.from(/^signed (\S+)$/m.exec(out)![1]!, 'base64')
    expect(openNote(note, [parseVkey(signer.vkey)])).toMatchObject({
      text: 'Grüße\nvon Go\n',
      signedBy: 'example.org/go',
    })
  }, 300_000)

  it('refuses what we have altered', async () => {
    const at = folder('a.0', 'security')
    const check = () =>
      run({ Logs: [{ Dir: at, Vkey: join(dir, 'audit/a.0/vkey') }], Signed: { Skey: newKey('x').skey, Text: 'x\n' } })
    for (const name of ['checkpoint', 'tile/0/000', 'segments/0000000000000000.jsonl']) {
      const path = join(at, name)
      const bytes = readFileSync(path)
      const altered = Buffer.from(bytes)
      altered[40]! ^= 1
      writeFileSync(path, altered)
      await expect(check()).rejects.toThrow()
      writeFileSync(path, bytes)
    }
    await check()
  })
})

/** A key of ours in the form in which Go keeps one: its seed behind the type, under the same name and id. */
function newKey(name: string): { signer: KeySigner; skey: string } {
  const { privateKey } = generateKeyPairSync('ed25519')
  const signer = signerOf(name, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
  const seed = Buffer.from(privateKey.export({ format: 'jwk' }).d!, 'base64url')
  const id = signer.vkey.split('+')[1]!
  return { signer, skey: `PRIVATE+KEY+${name}+${id}+${Buffer.concat([Buffer.from([1]), seed]).toString('base64')}` }
}

// The guards of the hop: one for each way in which other proxies were found to be wrong.
import type { Guard } from './guarded.ts'

export const guards: readonly Guard[] = [
  {
    rule: 'framing is rebuilt: a chunked body stays chunked, whatever the method (CVE-2026-29057)',
    file: 'proxy/outgoing.ts',
    cut: "hasLength: body !== 'chunked' && !bodyGiven",
    put: 'hasLength: true',
    test: 'proxy/framing.test.ts',
    name: 'keeps a chunked body chunked, whatever the method',
  },
  {
    rule: 'the only transfer coding is chunked (CVE-2026-2835)',
    file: 'proxy/gate.ts',
    cut: "if (coding !== undefined || value.toLowerCase() !== 'chunked')",
    put: 'if (coding !== undefined)',
    test: 'proxy/gate.test.ts',
    name: 'the gate refuses',
  },
]

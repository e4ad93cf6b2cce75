import { defineConfig } from 'tsup'
import { writeSchemas } from './scripts/schemas.ts'

const shared = { target: 'node20', platform: 'node', sourcemap: false, splitting: true, treeshake: true } as const

export default defineConfig(({ outDir = 'dist' }) => [
  {
    ...shared,
    entry: {
      index: 'src/index.ts',
      node: 'src/adapters/node.ts',
      express: 'src/adapters/express.ts',
      fastify: 'src/adapters/fastify.ts',
      witness: 'src/witness/index.ts',
    },
    format: ['esm', 'cjs'],
    // `--no-dts` makes a build that runs, in a tenth of the time.
    dts: !process.argv.includes('--no-dts'),
    clean: true,
    onSuccess: async () => writeSchemas(outDir),
  },
  // The command is one file of its own: nothing in it is public.
  { ...shared, entry: { cli: 'src/cli/main.ts' }, format: ['esm'], dts: false },
])

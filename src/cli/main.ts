#!/usr/bin/env node
// The entry of the `auditlb` command.
import { argv, setExitCode, stderr, stdin, stdout } from '../runtime.ts'
import { run } from './command.ts'
import { terminalOver } from './terminal.ts'

setExitCode(await run(argv(), terminalOver(stdin(), stdout, stderr)))

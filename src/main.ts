import { enableCompileCache } from 'node:module'
import process, { env } from 'node:process'

// Before anything else is loaded: what was compiled once is not stripped of its types and compiled
// again. Threads are given the same cache by who starts them.
enableCompileCache()
const { runCli } = await import('./cli/cli.ts')

process.exitCode = await runCli({
  args: process.argv.slice(2),
  env,
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal(signals, listener) {
    for (const signal of signals) process.on(signal, listener)
    return () => {
      for (const signal of signals) process.off(signal, listener)
    }
  },
  exit: (code) => process.exit(code),
})

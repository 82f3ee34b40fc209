import process, { env } from 'node:process'
import { runCli } from './cli/cli.ts'

/** One Ctrl-C can come twice: from the terminal, and passed on by npm or by bin/holdfast.mjs. */
const ECHO_MS = 250

process.exitCode = await runCli({
  args: process.argv.slice(2),
  env,
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal(signals, listener) {
    let lastMs = Number.NEGATIVE_INFINITY
    const once = () => {
      const isEcho = performance.now() - lastMs < ECHO_MS
      lastMs = performance.now()
      if (!isEcho) listener()
    }
    for (const signal of signals) process.on(signal, once)
    return () => {
      for (const signal of signals) process.off(signal, once)
    }
  },
  exit: (code) => process.exit(code),
})

import { parentPort } from 'node:worker_threads'

// A thread that never hears that it should stop, for the tests of those who run threads.

parentPort?.on('message', () => {
  const until = performance.now() + 60_000
  while (performance.now() < until) {
    // Nothing but the end of the thread ends this.
  }
})

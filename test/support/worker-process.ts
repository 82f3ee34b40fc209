import { type ChildProcess, spawn } from 'node:child_process'
import { execPath } from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { WorkerProgramOptions } from '../crash/worker.test-program.ts'

const PROGRAM = fileURLToPath(new URL('../crash/worker.test-program.ts', import.meta.url))
const SAID_MS = 30_000

/** A worker in a process of its own, and what it has said so far. */
export class WorkerProcess {
  readonly said: string[] = []
  readonly #child: ChildProcess
  readonly #exit: Promise<number | null>
  #onLine: () => void = () => undefined

  constructor(options: WorkerProgramOptions) {
    this.#child = spawn(execPath, [PROGRAM, JSON.stringify(options)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#exit = new Promise((resolve) => this.#child.once('exit', (code) => resolve(code)))
    const { stdout } = this.#child
    if (stdout === null) throw new Error('the worker has no standard output')
    createInterface({ input: stdout }).on('line', (line) => {
      this.said.push(line)
      this.#onLine()
    })
  }

  /** Waits until it has said the line. */
  async until(line: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const failed = () => reject(new Error(`it never said "${line}", but: ${this.said.join(', ')}`))
    const timer = setTimeout(failed, SAID_MS)
    this.#onLine = () => this.said.includes(line) && resolve()
    this.#onLine()
    void this.#exit.then(() => (this.said.includes(line) ? undefined : failed()))
    await promise.finally(() => clearTimeout(timer))
  }

  /** Resolves when it has ended, by whosever hand. */
  get ended(): Promise<unknown> {
    return this.#exit
  }

  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): void {
    this.#child.kill(name)
  }

  /** Ends it and answers its exit code; `null` when it was killed. */
  end(name: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    this.signal(name)
    return this.#exit
  }
}

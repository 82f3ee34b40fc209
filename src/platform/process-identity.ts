import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { pid } from 'node:process'
import { systemCodeOf } from './files.ts'

/** Tells one process from all others, as far as anybody can. */
export interface ProcessIdentity {
  readonly host: string
  /** Another one after each boot, and in each container: the same process numbers mean others there. */
  readonly bootId: string
  readonly pid: number
}

/** `''` where the platform does not tell: then nothing about another process is ever certain. */
function readBootId(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    // Containers of one machine share its boot id, but each counts its processes for itself.
    return `${boot}/${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return ''
  }
}

export const readProcessIdentity = (): ProcessIdentity => ({
  host: hostname(),
  bootId: readBootId(),
  pid,
})

/**
 * Whether `other` has ended beyond doubt, as seen from `here`. False means
 * "perhaps not": another machine, another boot, or a number given to a new process.
 */
export function isCertainlyGone(other: ProcessIdentity, here: ProcessIdentity): boolean {
  if (here.bootId === '' || other.bootId !== here.bootId || other.host !== here.host) return false
  try {
    process.kill(other.pid, 0)
    return isZombie(other.pid)
  } catch (error) {
    return systemCodeOf(error) === 'ESRCH'
  }
}

/** Ended, and only not yet collected by its parent: in some containers it never is. */
function isZombie(otherPid: number): boolean {
  try {
    // proc(5): the state stands behind the name in brackets, which may hold brackets itself.
    const state = readFileSync(`/proc/${otherPid}/stat`, 'utf8')
    return state.slice(state.lastIndexOf(')') + 2).startsWith('Z')
  } catch {
    return false // it went just now, or the platform does not tell: not certain
  }
}

import {
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'

/**
 * Puts a finished tree in the place of another one by renames alone. What is
 * there says how far a swap came, so that a crash between any two steps can be
 * gone on with or taken back:
 *
 *     work/new   the tree that shall be there        (gone: it is in its place)
 *     work/old   what was there before               (there: it was moved away)
 *
 * Where the target itself cannot be renamed (something is mounted on it), its
 * children are swapped one by one, and `work/journal` names them.
 */
export interface Swap {
  readonly target: string
  /** The private directory of this attempt: beside the target, or in it where the children are swapped. */
  readonly work: string
  readonly children: boolean
  /** Whether the target was there before the swap: what is taken back must be told from what never was. */
  readonly hadTarget: boolean
}

export type SwapStep = (step: string) => void

interface Unit {
  readonly fresh: Buffer
  readonly target: Buffer
  readonly old: Buffer
  readonly hadTarget: boolean
  readonly hasFresh: boolean
}

interface Journal {
  /** Names, one character a byte. */
  readonly fresh: readonly string[]
  readonly before: readonly string[]
}

export const newRoot = (work: string): string => `${work}/new`
export const oldRoot = (work: string): string => `${work}/old`
const journalFile = (work: string): string => `${work}/journal`

const there = (path: Buffer | string): boolean =>
  lstatSync(path, { throwIfNoEntry: false }) !== undefined

export function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

const names = (path: string): readonly string[] =>
  readdirSync(path, { encoding: 'buffer' }).map((name) => name.toString('latin1'))

/** Writes down what will be swapped, durably. Nothing at the target is touched. `keepOthers`: what the new tree does not have stays. */
export function prepareSwap(swap: Swap, keepOthers: boolean): void {
  if (swap.children) {
    const own = Buffer.from(swap.work.slice(swap.target.length + 1)).toString('latin1')
    const fresh = names(newRoot(swap.work))
    const before = names(swap.target).filter((name) => name !== own)
    const taken = new Set(fresh)
    const journal: Journal = {
      fresh,
      before: keepOthers ? before.filter((name) => taken.has(name)) : before,
    }
    mkdirSync(oldRoot(swap.work), { recursive: true, mode: 0o700 })
    const file = openSync(journalFile(swap.work), 'w', 0o600)
    try {
      writeSync(file, JSON.stringify(journal))
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  }
  syncDirectory(swap.work)
}

function unitsOf(swap: Swap): readonly Unit[] {
  if (!swap.children) {
    return [
      {
        fresh: Buffer.from(newRoot(swap.work)),
        target: Buffer.from(swap.target),
        old: Buffer.from(oldRoot(swap.work)),
        hadTarget: swap.hadTarget,
        hasFresh: true,
      },
    ]
  }
  const journal: Journal = JSON.parse(readFileSync(journalFile(swap.work), 'utf8'))
  const fresh = new Set(journal.fresh)
  const before = new Set(journal.before)
  const at = (root: string, name: string): Buffer =>
    Buffer.concat([Buffer.from(`${root}/`), Buffer.from(name, 'latin1')])
  return [...new Set([...before, ...fresh])].map((name) => ({
    fresh: at(newRoot(swap.work), name),
    target: at(swap.target, name),
    old: at(oldRoot(swap.work), name),
    hadTarget: before.has(name),
    hasFresh: fresh.has(name),
  }))
}

function settle(swap: Swap): void {
  syncDirectory(swap.work)
  syncDirectory(swap.children ? swap.target : dirname(swap.target))
}

/** Begins a prepared swap, or goes on with it after a crash. Doing it again changes nothing. */
export function swapIn(swap: Swap, onStep: SwapStep = () => undefined): void {
  for (const unit of unitsOf(swap)) {
    // A fresh tree that is gone is in its place already: what is there is not to be moved away.
    const waiting = unit.hasFresh ? there(unit.fresh) : true
    if (waiting && !there(unit.old) && unit.hadTarget && there(unit.target)) {
      onStep('before-old')
      renameSync(unit.target, unit.old)
    }
    if (waiting && unit.hasFresh) {
      onStep('before-new')
      renameSync(unit.fresh, unit.target)
    }
    onStep('after-new')
  }
  settle(swap)
  onStep('settled')
}

/** Takes back a swap, however far it came: the target is as it was before. Doing it again changes nothing. */
export function swapBack(swap: Swap, onStep: SwapStep = () => undefined): void {
  // Nothing was begun, or all of it was taken back and removed before.
  if (!there(swap.work) || (swap.children && !there(journalFile(swap.work)))) return
  for (const unit of unitsOf(swap)) {
    const swapped = unit.hasFresh && !there(unit.fresh) && there(unit.target)
    const came = there(unit.old) || !unit.hadTarget
    if (swapped && came) {
      onStep('before-new-back')
      renameSync(unit.target, unit.fresh)
    }
    if (there(unit.old) && !there(unit.target)) {
      onStep('before-old-back')
      renameSync(unit.old, unit.target)
    }
    onStep('after-old-back')
  }
  settle(swap)
}

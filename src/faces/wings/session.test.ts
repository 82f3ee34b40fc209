import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { completed } from '../../core/progress.ts'
import { archiving, makeOperation, Peer } from './session.test-support.ts'

const ended = makeOperation({
  status: 'completed',
  progress: completed(archiving(1000)),
  result: { sha256: 'ab', archiveBytes: 5 },
  finishedAtMs: 2,
})

suite('an operation ends once', () => {
  test('where the state of every event is already the last', async () => {
    const peer = await new Peer().signedIn()
    for (const event of ['submitted', 'started', 'phase', 'completed'] as const) {
      peer.session.changed(ended, event)
      if (event !== 'completed') assert.deepEqual(peer.percentages(), [], event)
    }
    assert.deepEqual(peer.percentages(), [0, 100])
    peer.session.changed(ended, 'completed')
    peer.session.progressed(ended, archiving(500))
    assert.deepEqual(peer.percentages(), [0, 100])
    assert.equal(peer.named('backup completed').length, 1)
    const states = peer.named('status').map(({ args }) => args?.[0])
    assert.deepEqual(states, ['offline', 'backup_queued', 'backup', 'offline'])
  })

  test('where a socket is in the middle of its sign-in', async () => {
    const peer = new Peer()
    const { promise, resolve } = Promise.withResolvers<void>()
    const running = makeOperation({ progress: archiving(500) })
    peer.replay = async () => {
      await promise
      return [running]
    }
    const signedIn = peer.signedIn()
    await new Promise(setImmediate)
    peer.session.changed(ended, 'completed')
    resolve()
    await signedIn
    assert.deepEqual(peer.percentages(), [0, 100])
    assert.equal(peer.named('status').at(-1)?.args?.[0], 'offline')
  })

  test('where what was read at the sign-in is older than what was told meanwhile', async () => {
    const peer = new Peer()
    peer.replay = async () => {
      peer.session.changed(makeOperation({ status: 'running' }), 'started')
      return [makeOperation({ status: 'pending' })]
    }
    await peer.signedIn()
    assert.equal(peer.named('status').at(-1)?.args?.[0], 'backup')
    peer.session.changed(ended, 'completed')
    assert.deepEqual(peer.percentages(), [0, 100])
  })

  test('with the reason in the last frame alone', async () => {
    const peer = await new Peer({ details: true }).signedIn()
    const failure = { code: 'invalid' as const, message: 'no such folder', details: {} }
    const failed = makeOperation({ status: 'failed', failure, finishedAtMs: 2 })
    peer.session.changed(failed, 'failed')
    const errors = peer.payloads().map(({ error }) => error)
    assert.deepEqual(errors, [null, 'no such folder'])
  })

  test('and is told with the next token to a socket whose token had ended', async () => {
    const peer = new Peer()
    peer.expiresAtMs = 1000
    await peer.signedIn()
    peer.session.progressed(makeOperation(), archiving(0))
    peer.nowMs = 1000
    peer.session.changed(ended, 'completed')
    assert.deepEqual(peer.percentages(), [0])
    peer.expiresAtMs = null
    await peer.signedIn()
    assert.deepEqual(peer.percentages(), [0, 100])
    await peer.signedIn()
    assert.deepEqual(peer.percentages(), [0, 100])
  })
})

suite('ends that nobody heard', () => {
  test('wait for a session that may read backups', async () => {
    const peer = new Peer()
    peer.untold = [ended]
    peer.permissions = []
    await peer.signedIn()
    assert.deepEqual([peer.percentages(), peer.untold.length], [[], 1])
    peer.permissions = ['backup.read']
    await peer.signedIn()
    assert.deepEqual([peer.percentages(), peer.untold.length], [[0, 100], 0])
    assert.equal(peer.named('backup completed').length, 1)
  })

  test('are not given to a socket that has gone', async () => {
    const peer = new Peer()
    peer.untold = [ended]
    peer.replay = async () => {
      peer.session.left()
      return []
    }
    await peer.signedIn()
    assert.equal(peer.untold.length, 1)
  })
})

suite('a token', () => {
  test('that is revoked is told as expired once, and nothing is told after it', async () => {
    const peer = await new Peer().signedIn()
    peer.isTokenGood = false
    peer.nowMs = 29_999
    peer.session.watchToken()
    await peer.session.receive('')
    assert.equal(peer.named('token expired').length, 0)
    for (const nowMs of [30_000, 30_500, 60_000, 90_000]) {
      peer.nowMs = nowMs
      peer.session.watchToken()
      await peer.session.receive('')
    }
    assert.equal(peer.named('token expired').length, 1)
    const toldCount = peer.told.length
    peer.session.progressed(makeOperation(), archiving(100))
    peer.session.changed(makeOperation(), 'started')
    peer.session.changed(ended, 'completed')
    assert.equal(peer.told.length, toldCount)
    await peer.session.receive('{"event":"send stats"}')
    assert.deepEqual(peer.told.at(-1)?.args, ['Error Event [id]: jwt: exp claim is invalid'])
  })

  test('is looked at again with what it may do by then', async () => {
    const peer = await new Peer().signedIn()
    peer.permissions = []
    peer.nowMs = 30_000
    peer.session.watchToken()
    await peer.session.receive('')
    assert.equal(peer.session.mayReadBackups, false)
  })
})

suite('a socket', () => {
  test('that nobody signs in on is closed after ten seconds', () => {
    const peer = new Peer()
    peer.nowMs = 10_000
    peer.session.watchToken()
    assert.deepEqual(peer.closed, [4401])
  })

  test('on a full server is told so when it signs in', async () => {
    const peer = new Peer()
    peer.hasRoom = false
    await peer.signedIn()
    assert.deepEqual(peer.closed, [4429])
    assert.equal(peer.session.isAuthenticated, false)
    assert.match(String(peer.told[0]?.args?.[0]), /Too many open websocket connections\.$/)
  })

  test('that does not read is cut off before anybody has signed in', async () => {
    const peer = new Peer()
    peer.buffered = 64 * 1024 + 1
    await peer.session.receive('{"event":"send stats"}')
    assert.deepEqual([peer.isCut, peer.told.length], [true, 0])
  })

  test('is answered in the order of what it asked', async () => {
    const peer = new Peer()
    const first = peer.session.receive('{"event":"auth","args":["token"]}')
    await Promise.all([first, peer.session.receive('{"event":"send stats"}')])
    assert.deepEqual(
      peer.told.map(({ event }) => event),
      ['auth success', 'status', 'stats', 'stats'],
    )
  })

  test('hears what went wrong only with admin.websocket.errors', async () => {
    const peer = await new Peer().signedIn()
    await peer.session.receive('{"event":"set state","args":["start"]}')
    peer.permissions = ['admin.websocket.errors']
    await peer.signedIn()
    await peer.session.receive('{"event":"set state","args":["start"]}')
    const [hidden, shown] = peer.named('daemon error').map(({ args }) => String(args?.[0]))
    const sentence = 'an unexpected error was encountered while handling this request'
    assert.equal(hidden, `Error Event [id]: ${sentence}`)
    assert.match(shown ?? '', /does not run it$/)
  })

  test('hears no inner message when something here fails', async () => {
    const peer = new Peer()
    peer.replay = () => Promise.reject(new Error('disk of the database is full'))
    await peer.signedIn()
    assert.doesNotMatch(JSON.stringify(peer.told), /disk/)
    assert.equal(peer.named('daemon error').length, 1)
    assert.deepEqual(peer.errors, ['wings socket failed'])
  })

  test('is told when its server is no more', async () => {
    const peer = await new Peer().signedIn()
    peer.session.deleted()
    assert.equal(peer.told.at(-1)?.event, 'deleted')
    assert.deepEqual(peer.closed, [1000])
  })
})

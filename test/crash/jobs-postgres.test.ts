import { after, before, describe } from 'node:test'
import { describeAudit } from '../../src/jobs/audit.suite.ts'
import type { OpenDatabase } from '../../src/jobs/bench.test-support.ts'
import { describeIntents } from '../../src/jobs/intents.suite.ts'
import { describeRecovery } from '../../src/jobs/recovery.suite.ts'
import { describeRuns } from '../../src/jobs/runs.suite.ts'
import { describeSubmit } from '../../src/jobs/submit.suite.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'

// What src/jobs/jobs.test.ts says of the embedded store, said of PostgreSQL.
describe('jobs on PostgreSQL', () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.stop())
  const open: OpenDatabase = async () => openPostgres({ url: await server.createDatabase() })
  describeSubmit('PostgreSQL', open)
  describeRuns('PostgreSQL', open)
  describeIntents('PostgreSQL', open)
  describeRecovery('PostgreSQL', open)
  describeAudit('PostgreSQL', open)
})

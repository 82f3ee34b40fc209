import { join } from 'node:path'
import { openSqlite } from '../store/sqlite.ts'
import { describeAudit } from './audit.suite.ts'
import type { OpenDatabase } from './bench.test-support.ts'
import { describeIntents } from './intents.suite.ts'
import { describeRecovery } from './recovery.suite.ts'
import { describeRuns } from './runs.suite.ts'
import { describeSubmit } from './submit.suite.ts'

const open: OpenDatabase = (folder) => openSqlite({ file: join(folder, 'records.db') })

describeSubmit('the embedded store', open)
describeRuns('the embedded store', open)
describeIntents('the embedded store', open)
describeRecovery('the embedded store', open)
describeAudit('the embedded store', open)

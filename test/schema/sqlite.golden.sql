CREATE TABLE "accounts" ("id" text not null primary key,
  "name" text not null,
  "quota_bytes" integer,
  "created_at_ms" integer not null) strict;
CREATE TABLE "audit" ("id" text not null primary key,
  "account_id" text not null,
  "actor" text not null,
  "action" text not null,
  "topic" text not null,
  "topic_id" text not null,
  "data" text not null,
  "at_ms" integer not null) strict;
CREATE TABLE "devices" ("id" text not null primary key,
  "account_id" text not null,
  "name" text not null,
  "created_at_ms" integer not null) strict;
CREATE TABLE "events" ("sequence" integer primary key autoincrement,
  "topic" text not null,
  "topic_id" text not null,
  "account_id" text not null,
  "type" text not null,
  "at_ms" integer not null,
  "data" text not null) strict;
CREATE TABLE "holds" ("subject" text not null primary key,
  "operation_id" text not null references "operations" ("id") on delete cascade) strict;
CREATE TABLE "migrations" ("number" integer not null primary key,
  "name" text not null) strict;
CREATE TABLE "operations" ("id" text not null primary key,
  "account_id" text not null,
  "kind" text not null,
  "status" text not null,
  "status_reason" text not null,
  "outcome" text,
  "priority" integer not null,
  "source_id" text,
  "snapshot_id" text,
  "pool_id" text,
  "subjects" text not null,
  "input" text not null,
  "result" text,
  "failure" text,
  "progress" text not null,
  "checkpoint" text,
  "intent" text,
  "attempt" integer not null,
  "worker_id" text,
  "retry_of" text,
  "resumed_count" integer not null,
  "bytes_not_redone" integer not null,
  "idempotency_key" text,
  "idempotency_hash" text,
  "created_at_ms" integer not null,
  "started_at_ms" integer,
  "updated_at_ms" integer not null,
  "finished_at_ms" integer,
  "lost_runs" integer default 0 not null) strict;
CREATE TABLE "pools" ("id" text not null primary key,
  "account_id" text,
  "name" text not null,
  "kind" text not null,
  "config" text not null,
  "created_at_ms" integer not null) strict;
CREATE TABLE "removals" ("id" text not null primary key,
  "snapshot" text not null) strict;
CREATE TABLE "snapshots" ("id" text not null primary key,
  "account_id" text not null,
  "source_id" text not null,
  "operation_id" text not null,
  "pool_id" text not null,
  "format" text not null,
  "key" text not null,
  "bytes" integer not null,
  "content_bytes" integer not null,
  "item_count" integer not null,
  "sha256" text not null,
  "warning_count" integer not null,
  "details" text not null,
  "pinned" integer not null,
  "verified_at_ms" integer,
  "verified_well" integer,
  "created_at_ms" integer not null) strict;
CREATE TABLE "sources" ("id" text not null primary key,
  "account_id" text not null,
  "kind" text not null,
  "name" text not null,
  "device_id" text,
  "config" text not null,
  "created_at_ms" integer not null) strict;
CREATE TABLE sqlite_sequence(name,seq);
CREATE TABLE "tokens" ("id" text not null primary key,
  "account_id" text not null,
  "name" text not null,
  "token_sha256" text not null unique,
  "permissions" text not null,
  "created_at_ms" integer not null,
  "expires_at_ms" integer,
  "revoked_at_ms" integer) strict;
CREATE TABLE "warnings" ("operation_id" text not null references "operations" ("id") on delete cascade,
  "number" integer not null,
  "code" text not null,
  "message" text not null,
  "item" text, constraint "warnings_pkey" primary key ("operation_id",
  "number")) strict;
CREATE TABLE "workers" ("id" text not null primary key,
  "host" text not null,
  "pid" integer not null,
  "boot_id" text not null,
  "beat" integer not null,
  "started_at_ms" integer not null) strict;
CREATE INDEX "accounts_page" on "accounts" ("created_at_ms",
  "id");
CREATE INDEX "audit_account_id_at_ms_id" on "audit" ("account_id",
  "at_ms",
  "id");
CREATE INDEX "audit_at_ms_id" on "audit" ("at_ms",
  "id");
CREATE INDEX "devices_account_id_page" on "devices" ("account_id",
  "created_at_ms",
  "id");
CREATE INDEX "events_account_id_sequence" on "events" ("account_id",
  "sequence");
CREATE INDEX "events_topic_id_sequence" on "events" ("topic_id",
  "sequence");
CREATE INDEX "holds_operation_id" on "holds" ("operation_id");
CREATE INDEX "operations_account_id_page" on "operations" ("account_id",
  "created_at_ms",
  "id");
CREATE INDEX "operations_claim" on "operations" ("status",
  "priority" desc,
  "created_at_ms",
  "id");
CREATE UNIQUE INDEX "operations_idempotency" on "operations" ("account_id",
  "idempotency_key");
CREATE INDEX "operations_page" on "operations" ("created_at_ms",
  "id");
CREATE INDEX "operations_snapshot_id_status" on "operations" ("snapshot_id",
  "status");
CREATE INDEX "operations_source_id_page" on "operations" ("source_id",
  "created_at_ms",
  "id");
CREATE INDEX "operations_worker_id_status" on "operations" ("worker_id",
  "status");
CREATE INDEX "pools_account_id_page" on "pools" ("account_id",
  "created_at_ms",
  "id");
CREATE INDEX "snapshots_account_id_page" on "snapshots" ("account_id",
  "created_at_ms",
  "id");
CREATE INDEX "snapshots_operation_id" on "snapshots" ("operation_id");
CREATE INDEX "snapshots_page" on "snapshots" ("created_at_ms",
  "id");
CREATE INDEX "snapshots_pool_id_page" on "snapshots" ("pool_id",
  "created_at_ms",
  "id");
CREATE INDEX "snapshots_source_id_page" on "snapshots" ("source_id",
  "created_at_ms",
  "id");
CREATE INDEX "sources_account_id_page" on "sources" ("account_id",
  "created_at_ms",
  "id");
CREATE INDEX "sources_device_id_page" on "sources" ("device_id",
  "created_at_ms",
  "id");
CREATE INDEX "tokens_account_id_page" on "tokens" ("account_id",
  "created_at_ms",
  "id");

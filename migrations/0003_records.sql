-- Records that are only ever added to. They are written late and in batches; a batch whose
-- answer was lost is sent again. So every row brings its own id, and a row that is already
-- there is skipped: nothing is ever doubled.

CREATE TABLE environment_logs (
    id             text PRIMARY KEY,
    environment_id text NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    level          text NOT NULL DEFAULT 'INFO' CHECK (level IN ('DEBUG', 'INFO', 'WARN', 'ERROR')),
    message        text NOT NULL,
    source         text NOT NULL DEFAULT 'container',
    metadata       jsonb,
    timestamp      timestamptz NOT NULL DEFAULT now(),
    -- Lines of one millisecond keep the order in which they were written.
    ordinal        bigint GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX environment_logs_environment_timestamp
    ON environment_logs (environment_id, timestamp DESC, ordinal DESC);

CREATE TABLE environment_metrics (
    id             text PRIMARY KEY,
    environment_id text NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    cpu_usage      double precision NOT NULL,
    memory_usage   double precision NOT NULL,
    storage_usage  double precision NOT NULL,
    network_rx     bigint NOT NULL DEFAULT 0,
    network_tx     bigint NOT NULL DEFAULT 0,
    timestamp      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX environment_metrics_environment_timestamp
    ON environment_metrics (environment_id, timestamp DESC);

CREATE TABLE audit_log (
    id          text PRIMARY KEY,
    -- No foreign keys: the record outlives the account and the thing it speaks of.
    actor_id    text,
    -- The name as it was then.
    actor_name  text,
    action      text NOT NULL,
    target_type text,
    target_id   text,
    ip          text,
    detail      jsonb,
    timestamp   timestamptz NOT NULL DEFAULT now(),
    ordinal     bigint GENERATED ALWAYS AS IDENTITY
);
CREATE INDEX audit_log_timestamp ON audit_log (timestamp DESC, ordinal DESC);
CREATE INDEX audit_log_actor ON audit_log (actor_id, timestamp DESC);
CREATE INDEX audit_log_target ON audit_log (target_type, target_id, timestamp DESC);

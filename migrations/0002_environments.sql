-- What can be made (templates), where (clusters), and what was made (environments).

CREATE TABLE templates (
    id                        text PRIMARY KEY,
    name                      text NOT NULL,
    display_name              text NOT NULL,
    description               text NOT NULL,
    category                  text NOT NULL CHECK (category IN
        ('PROGRAMMING_LANGUAGE', 'FRAMEWORK', 'DATABASE', 'DEVOPS', 'OPERATING_SYSTEM')),
    tags                      text[] NOT NULL DEFAULT '{}',
    docker_image              text NOT NULL,
    default_port              integer NOT NULL DEFAULT 8080
        CHECK (default_port BETWEEN 1 AND 65535),
    default_resources_cpu     text NOT NULL DEFAULT '500m',
    default_resources_memory  text NOT NULL DEFAULT '1Gi',
    default_resources_storage text NOT NULL DEFAULT '10Gi',
    environment_variables     jsonb NOT NULL DEFAULT '{}',
    -- Run once, when the environment is made: they may need root and the network.
    install_commands          text[] NOT NULL DEFAULT '{}',
    -- Run at every start: they must be quick and repeatable.
    startup_commands          text[] NOT NULL DEFAULT '{}',
    documentation_url         text,
    icon_url                  text,
    status                    text NOT NULL DEFAULT 'ACTIVE'
        CHECK (status IN ('ACTIVE', 'DEPRECATED', 'BETA')),
    version                   text NOT NULL DEFAULT '1.0.0',
    usage_count               integer NOT NULL DEFAULT 0,
    -- Digest of the file the row was loaded from. The loader writes only when the file has
    -- changed since, so an administrator's edit lives until somebody edits the file.
    source_digest             text,
    created_at                timestamptz NOT NULL DEFAULT now(),
    updated_at                timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT templates_name_key UNIQUE (name)
);

CREATE TABLE clusters (
    id               text PRIMARY KEY,
    name             text NOT NULL,
    description      text,
    provider         text NOT NULL DEFAULT 'ovh',
    region           text NOT NULL,
    -- Sealed by the server before it comes here (AES-256-GCM, the row's id as associated
    -- data, so that one row's secret cannot be put into another row).
    kubeconfig       text NOT NULL,
    -- Which runtime adapter serves it.
    runtime          text NOT NULL DEFAULT 'KUBERNETES' CHECK (runtime IN ('KUBERNETES', 'LOCAL')),
    status           text NOT NULL DEFAULT 'ACTIVE'
        CHECK (status IN ('ACTIVE', 'INACTIVE', 'MAINTENANCE')),
    is_default       boolean NOT NULL DEFAULT false,
    node_count       integer NOT NULL DEFAULT 3,
    max_environments integer NOT NULL DEFAULT 100,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT clusters_name_key UNIQUE (name)
);
-- At most one default.
CREATE UNIQUE INDEX clusters_default ON clusters (is_default) WHERE is_default;

CREATE TABLE user_clusters (
    id         text PRIMARY KEY,
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    cluster_id text NOT NULL REFERENCES clusters (id) ON DELETE CASCADE,
    role       text NOT NULL DEFAULT 'USER' CHECK (role IN ('USER', 'ADMIN')),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT user_clusters_user_id_cluster_id_key UNIQUE (user_id, cluster_id)
);
CREATE INDEX user_clusters_cluster ON user_clusters (cluster_id);

CREATE TABLE environments (
    id                      text PRIMARY KEY,
    name                    text NOT NULL,
    description             text,
    user_id                 text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- RESTRICT: neither may go while something was made of it.
    template_id             text NOT NULL REFERENCES templates (id) ON DELETE RESTRICT,
    cluster_id              text NOT NULL REFERENCES clusters (id) ON DELETE RESTRICT,

    -- What the owner wants. Written before anything is done about it, so that a server
    -- killed at any point knows after its start what to go on with.
    desired_state           text NOT NULL DEFAULT 'RUNNING'
        CHECK (desired_state IN ('RUNNING', 'STOPPED', 'TERMINATED')),
    -- Grows with every wish, so that "restart" (wanted RUNNING, wanted RUNNING again)
    -- is a change too.
    desired_generation      bigint NOT NULL DEFAULT 1,
    -- A restart's wish: this instance of the environment is to end. An intent, so it is not
    -- read off the status, and once another instance runs it means nothing any more.
    replaces_instance       text,
    -- What was last seen of it.
    status                  text NOT NULL DEFAULT 'CREATING' CHECK (status IN
        ('CREATING', 'PROVISIONING', 'INSTALLING', 'CONFIGURING', 'RUNNING',
         'STOPPED', 'STOPPING', 'RESTARTING', 'ERROR', 'TERMINATED')),
    -- Why, in words a person can act on. Mostly for ERROR.
    status_reason           text,
    -- Place of that observation in the order of all: one that arrives late, after a retry,
    -- must not replace a newer one. A number made by the server, not the time of the row:
    -- clocks step back.
    status_sequence         bigint NOT NULL DEFAULT 0,
    -- When it last became usable.
    ready_at                timestamptz,
    recovery_attempts       integer NOT NULL DEFAULT 0,
    last_recovery_at        timestamptz,

    docker_image            text NOT NULL,
    port                    integer NOT NULL DEFAULT 8080,
    web_port                integer,
    resources_cpu           text NOT NULL,
    resources_memory        text NOT NULL,
    resources_storage       text NOT NULL,
    environment_variables   jsonb NOT NULL DEFAULT '{}',
    installation_completed  boolean NOT NULL DEFAULT false,
    external_url            text,
    kubernetes_namespace    text,
    kubernetes_pod_name     text,
    kubernetes_service_name text,
    cpu_usage               double precision NOT NULL DEFAULT 0,
    memory_usage            double precision NOT NULL DEFAULT 0,
    storage_usage           double precision NOT NULL DEFAULT 0,
    last_activity_at        timestamptz,
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now()
);
-- A name is taken only as long as its environment lives: it can be used again afterwards.
CREATE UNIQUE INDEX environments_user_id_name_live ON environments (user_id, name)
    WHERE status <> 'TERMINATED';
-- The list of one person, newest change first.
CREATE INDEX environments_user_updated ON environments (user_id, updated_at DESC, id);
-- What a starting server has to look after.
CREATE INDEX environments_live ON environments (cluster_id) WHERE status <> 'TERMINATED';
CREATE INDEX environments_template ON environments (template_id);

CREATE TABLE terminal_sessions (
    id                text PRIMARY KEY,
    environment_id    text NOT NULL REFERENCES environments (id) ON DELETE CASCADE,
    -- The id the outside world uses.
    session_id        text NOT NULL,
    -- What the person calls it. Attaching by name finds the live one.
    name              text NOT NULL DEFAULT 'main',
    status            text NOT NULL DEFAULT 'ACTIVE'
        CHECK (status IN ('ACTIVE', 'INACTIVE', 'TERMINATED')),
    -- Of the server before this one; kept so that its rows load.
    tmux_session_name text,
    client_info       jsonb,
    cols              integer NOT NULL DEFAULT 80,
    rows              integer NOT NULL DEFAULT 24,
    -- How it ended: exit code, signal, or the reason it was lost.
    exit              jsonb,
    started_at        timestamptz NOT NULL DEFAULT now(),
    ended_at          timestamptz,
    last_activity_at  timestamptz,
    CONSTRAINT terminal_sessions_session_id_key UNIQUE (session_id)
);
CREATE UNIQUE INDEX terminal_sessions_name_live ON terminal_sessions (environment_id, name)
    WHERE status <> 'TERMINATED';
CREATE INDEX terminal_sessions_environment ON terminal_sessions (environment_id, started_at DESC);

-- People and how they prove who they are.
--
-- Conventions of every migration here:
--
-- * Ids are text, made by the server (25 characters, lower case, safe in a Kubernetes
--   name), so a row's id is known before it is written and a retried write is the same write.
-- * Names of tables and columns are those of the server this one replaces. A data-only dump
--   of an existing installation, taken with column names, loads into these tables.
-- * Enumerations are text with a CHECK, not Postgres enum types: such a dump holds them as
--   plain words, a CHECK can be changed inside a transaction in both directions (an enum
--   value can never be taken away), and two server versions can run side by side.
-- * Times are timestamptz. The old columns had no zone and held UTC: load with TimeZone=UTC.
-- * Migrations only go forward. Never edit one that was released.

CREATE TABLE users (
    id                    text PRIMARY KEY,
    -- Stored in lower case by the server; the CHECKs make sure that a plain unique index
    -- is also unique regardless of case.
    email                 text NOT NULL CHECK (email = lower(email)),
    username              text NOT NULL CHECK (username = lower(username)),
    full_name             text NOT NULL,
    -- A bcrypt hash. NULL: the account signs in through Google only, or was deleted.
    password              text,
    avatar_url            text,
    is_active             boolean NOT NULL DEFAULT true,
    is_verified           boolean NOT NULL DEFAULT false,
    email_verified_at     timestamptz,
    subscription_plan     text NOT NULL DEFAULT 'FREE'
        CHECK (subscription_plan IN ('FREE', 'STARTER', 'PRO', 'ENTERPRISE')),
    -- A role of its own: what somebody pays must never decide what he may administer.
    role                  text NOT NULL DEFAULT 'USER' CHECK (role IN ('USER', 'ADMIN')),
    google_id             text,
    failed_login_attempts integer NOT NULL DEFAULT 0 CHECK (failed_login_attempts >= 0),
    account_locked_until  timestamptz,
    last_login_at         timestamptz,
    -- When the person was last here. Apart from last_login_at, so that being active
    -- does not read as signing in.
    last_seen_at          timestamptz,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_email_key UNIQUE (email),
    CONSTRAINT users_username_key UNIQUE (username),
    CONSTRAINT users_google_id_key UNIQUE (google_id)
);

-- One sign-in on one device: what a person sees in the list of sessions and can end.
CREATE TABLE user_sessions (
    id           text PRIMARY KEY,
    user_id      text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    device       text,
    user_agent   text,
    -- Text, not inet: it is shown and compared as a whole, and a proxy may hand over
    -- something that is no address.
    ip           text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    revoked_at   timestamptz
);
CREATE INDEX user_sessions_live ON user_sessions (user_id, last_seen_at DESC)
    WHERE revoked_at IS NULL;

CREATE TABLE refresh_tokens (
    id         text PRIMARY KEY,
    -- SHA-256 of the token, in hex: who reads this table cannot sign in with it. A fast hash
    -- is right here, as the token has far more entropy than anyone can guess.
    token      text NOT NULL CHECK (length(token) = 64),
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id text NOT NULL REFERENCES user_sessions (id) ON DELETE CASCADE,
    -- Every token that came by rotation from one sign-in. A token shown twice means that it
    -- was copied: the whole family is revoked, as nobody can tell the thief's from the owner's.
    family_id  text NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Rotated and revoked are kept apart: a rotated token that comes back is a theft, one
    -- that was revoked by a sign-out is only old.
    rotated_at timestamptz,
    -- Its successor: as long as that was never used, the answer that held it may have been lost.
    replaced_by text,
    revoked_at timestamptz,
    CONSTRAINT refresh_tokens_token_key UNIQUE (token)
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family_id);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id) WHERE revoked_at IS NULL;
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

-- A proof that somebody reads an address: a link, and a code to type on the phone.
CREATE TABLE email_verification_tokens (
    id         text PRIMARY KEY,
    -- SHA-256 of the link's token, in hex.
    token      text NOT NULL CHECK (length(token) = 64),
    -- SHA-256, in hex, of the six digits together with the user's id. Six digits can be
    -- tried out by who holds this table; what protects them is `attempts` and their short life.
    code       text CHECK (length(code) = 64),
    user_id    text NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    purpose    text NOT NULL DEFAULT 'VERIFY_EMAIL'
        CHECK (purpose IN ('VERIFY_EMAIL', 'RESET_PASSWORD')),
    attempts   integer NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at    timestamptz,
    CONSTRAINT email_verification_tokens_token_key UNIQUE (token)
);
CREATE INDEX email_verification_tokens_open ON email_verification_tokens (user_id, purpose)
    WHERE used_at IS NULL;

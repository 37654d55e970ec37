-- Mails on their way. Each is written in the transaction that it tells of, so none is lost and none
-- tells of what did not happen; it is taken away when a mail server has taken it.
CREATE TABLE outgoing_mails (
    id         text PRIMARY KEY,
    -- What it is for, e.g. verify-email.
    kind       text NOT NULL,
    -- Recipient, subject and text, sealed like a kubeconfig: they hold links and codes.
    content    text NOT NULL,
    -- DEAD: refused, or tried too often. Kept for a while, for somebody to look at and try again.
    state      text NOT NULL DEFAULT 'WAITING' CHECK (state IN ('WAITING', 'DEAD')),
    attempts   integer NOT NULL DEFAULT 0,
    -- What the last attempt failed for. Holds no address.
    last_error text,
    -- When it is tried next. Moved on by who takes it, so that of several servers one sends it, and
    -- another one does if that one dies.
    due_at     timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outgoing_mails_due ON outgoing_mails (due_at) WHERE state = 'WAITING';
CREATE INDEX outgoing_mails_dead ON outgoing_mails (updated_at DESC) WHERE state = 'DEAD';

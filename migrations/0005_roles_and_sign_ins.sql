-- Who may look after others, and from where people sign in.

-- Support looks at accounts and changes none of them. Nobody gets a role by what they pay: whoever
-- was there before stays what they were.
ALTER TABLE users DROP CONSTRAINT users_role_check;
ALTER TABLE users ADD CONSTRAINT users_role_check CHECK (role IN ('USER', 'SUPPORT', 'ADMIN'));
-- The last of them keeps the role; and the list by role.
CREATE INDEX users_role ON users (role) WHERE role <> 'USER';
-- The list of all, newest first.
CREATE INDEX users_created ON users (created_at DESC, id);

-- How sign-ins to an account went, by the address they came from. A stranger who guesses locks out
-- his own address and nobody else's. `users.failed_login_attempts` is not counted any more, and
-- `users.account_locked_until` is only a lock that somebody set by hand.
CREATE TABLE sign_in_addresses (
    -- A user's id, or a bucket of names that nobody has: guessing at those must look the same.
    account      text NOT NULL,
    -- An IPv4 address, the /64 of an IPv6 one, or '' for all addresses together.
    address      text NOT NULL,
    -- Wrong passwords since the last right one, or since the last lock ended.
    failures     integer NOT NULL DEFAULT 0,
    -- Locks since the last right one: each is twice as long as the one before.
    locks        integer NOT NULL DEFAULT 0,
    locked_until timestamptz,
    -- The last right password: from there the account can be reached while it is guessed at
    -- from everywhere.
    succeeded_at timestamptz,
    tried_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account, address)
);
CREATE INDEX sign_in_addresses_tried ON sign_in_addresses (tried_at);

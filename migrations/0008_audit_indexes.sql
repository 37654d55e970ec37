-- The audit record is looked through by who did something, also under the name of then; by what was
-- done, also by how that begins; and by what it was done to, whatever kind of thing that is.
CREATE INDEX audit_log_actor_name ON audit_log (actor_name, timestamp DESC);
CREATE INDEX audit_log_action ON audit_log (action text_pattern_ops, timestamp DESC);
CREATE INDEX audit_log_target_id ON audit_log (target_id, timestamp DESC);

-- What a template asks of the place where its environments run: whether they are root inside, a
-- RuntimeClass, a node selector. An empty object is the default.
ALTER TABLE templates ADD COLUMN placement jsonb NOT NULL DEFAULT '{}';

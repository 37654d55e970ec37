-- Where somebody's environments should be, if there is room and nobody says otherwise: a region as
-- clusters have it, in any case. It need not exist: clusters come and go.
ALTER TABLE users ADD COLUMN preferred_region text;

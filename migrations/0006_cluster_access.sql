-- Clusters that only some people may use, and clusters that are gone.

-- Only those with a row in user_clusters (and administrators) may use it. Said here and not told
-- from whether there are such rows: when the last of these people leaves, their row goes with
-- them, and the cluster must not be open to everybody by that.
ALTER TABLE clusters ADD COLUMN restricted boolean NOT NULL DEFAULT false;
UPDATE clusters SET restricted = true WHERE id IN (SELECT cluster_id FROM user_clusters);

-- When it was removed. The row stays for as long as terminated environments refer to it; what
-- was secret in it does not, and its name is free.
ALTER TABLE clusters ADD COLUMN deleted_at timestamptz;
ALTER TABLE clusters DROP CONSTRAINT clusters_name_key;
CREATE UNIQUE INDEX clusters_name_key ON clusters (name) WHERE deleted_at IS NULL;

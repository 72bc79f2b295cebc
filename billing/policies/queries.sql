-- name: newest_policies
-- The version in use of each kind.
SELECT DISTINCT ON (kind) kind, version, body::text AS body
  FROM policy
 ORDER BY kind, version DESC;

-- name: policy_version
-- One version of a policy, the newest unless said.
SELECT version, created_at, body::text AS body
  FROM policy
 WHERE kind = :kind AND (:version::integer IS NULL OR version = :version)
 ORDER BY version DESC LIMIT 1;

-- name: insert_policy
-- A new version; does nothing where the version exists, so that two who seed the first do not collide.
INSERT INTO policy (kind, version, body)
VALUES (:kind, :version, :body::text::jsonb)
ON CONFLICT DO NOTHING
RETURNING version;

-- name: rating_policy
-- One version of the rating policy, as a bill names it.
SELECT body::text FROM policy WHERE kind = 'rating' AND version = :version;

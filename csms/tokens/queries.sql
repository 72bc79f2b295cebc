-- name: tokens_at
-- The newest decision about each token up to each instant.
SELECT w.ordinality::integer AS n, t.uid, t.kind, t.at, t.group_id, t.expires_at, t.user_class
  FROM unnest(:uids::text[], :ats::timestamptz[]) WITH ORDINALITY AS w (uid, at, ordinality)
  JOIN LATERAL (SELECT * FROM token_event e
                 WHERE e.uid = w.uid AND e.at <= w.at
                 ORDER BY e.at DESC, e.id DESC LIMIT 1) t ON true;

-- name: insert_token_event
-- A decision about a token.
INSERT INTO token_event (uid, kind, group_id, user_class, expires_at, reason, actor)
VALUES (:uid::text, :kind::text, :group_id::text, :user_class::text, :expires_at::timestamptz, :reason::text,
        :actor::text);

-- name: list_tokens
-- Each token as it stands now.
SELECT DISTINCT ON (uid) uid, kind, at, group_id, user_class, expires_at, reason
  FROM token_event
 WHERE :uid::text IS NULL OR uid = :uid
 ORDER BY uid, at DESC, id DESC;

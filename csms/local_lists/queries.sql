-- name: lock_list
-- One sender for each charge point, on whatever machine; false where another one is at it.
SELECT pg_try_advisory_lock(7004, hashtext(:charge_point::text));

-- name: unlock_list
-- The sender is done.
SELECT pg_advisory_unlock(7004, hashtext(:charge_point::text));

-- name: held_lists
-- What charge points hold, as far as is known.
SELECT l.charge_point, l.protocol, l.version, l.hash, l.acknowledged_at, l.outcome, l.detail, l.attempted_at
  FROM local_list l
 WHERE :charge_point::text IS NULL OR l.charge_point = :charge_point;

-- name: token_list
-- The entries of a list.
SELECT entries FROM token_list WHERE hash = :hash::bytea;

-- name: store_token_list
-- A list that a charge point holds now.
INSERT INTO token_list (hash, entries) VALUES (:hash::bytea, :entries::jsonb)
    ON CONFLICT (hash) DO UPDATE SET used_at = now();

-- name: store_held_list
-- What became of a list that was sent; the time of an acknowledgement stays where nothing changed.
INSERT INTO local_list AS l (charge_point, protocol, version, hash, acknowledged_at, outcome, detail)
VALUES (:charge_point::text, :protocol::text, :version::integer, :hash::bytea,
        CASE WHEN :hash::bytea IS NOT NULL THEN now() END, :outcome::text, :detail::text)
    ON CONFLICT (charge_point)
    DO UPDATE SET protocol = excluded.protocol, version = excluded.version, hash = excluded.hash,
                  acknowledged_at = CASE WHEN l.hash = excluded.hash AND l.version = excluded.version
                                         THEN l.acknowledged_at ELSE excluded.acknowledged_at END,
                  outcome = excluded.outcome, detail = excluded.detail, attempted_at = now();

-- name: forget_unused_lists
-- Lists that no charge point holds any more; young ones may be on their way into use.
DELETE FROM token_list t
 WHERE t.used_at < now() - interval '1 hour'
   AND NOT EXISTS (SELECT FROM local_list l WHERE l.hash = t.hash);

-- name: known_settings
-- What charge points said of their limits since they last booted.
SELECT d.charge_point, d.name, d.value
  FROM device_setting d JOIN charge_point c ON c.id = d.charge_point
 WHERE lower(d.name) = ANY(:names::text[])
   AND (:charge_point::text IS NULL OR d.charge_point = :charge_point)
   AND (:even_old::boolean OR c.booted_at IS NULL OR d.read_at >= c.booted_at);

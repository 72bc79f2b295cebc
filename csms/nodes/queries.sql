-- name: insert_node
-- A process that holds sockets.
INSERT INTO node (id, pid, host, ocpp_url, http_url, lease)
VALUES (:id::uuid, :pid::integer, :host::text, :ocpp_url::text, :http_url::text, :lease::interval);

-- name: beat
-- The node is alive; whether the others had taken it for dead. No row: they have forgotten it.
WITH before AS (SELECT heard_at < now() - lease AS lapsed FROM node WHERE id = :id::uuid FOR UPDATE)
UPDATE node SET heard_at = now() FROM before WHERE id = :id::uuid RETURNING before.lapsed;

-- name: delete_node
-- The node has ended in good order.
DELETE FROM node WHERE id = :id::uuid;

-- name: close_sockets_of_node
-- Sockets that ended with their node.
UPDATE socket SET closed_at = now(), close_reason = 'node stopped' WHERE node = :id::uuid AND closed_at IS NULL;

-- name: close_orphaned_sockets
-- Sockets of nodes that died: they ended when their node was last heard.
UPDATE socket s
   SET closed_at = coalesce((SELECT n.heard_at FROM node n WHERE n.id = s.node), s.opened_at),
       close_reason = 'node lost'
 WHERE s.id IN (SELECT o.id FROM socket o
                 WHERE o.closed_at IS NULL
                   AND NOT EXISTS (SELECT FROM node n WHERE n.id = o.node AND n.heard_at > now() - n.lease)
                   FOR UPDATE SKIP LOCKED);

-- name: delete_dead_nodes
-- Nodes that nobody has heard for long.
DELETE FROM node WHERE heard_at < now() - :patience::interval;

-- name: live_nodes
-- Nodes that serve, the oldest first.
SELECT id, pid, host, started_at, heard_at, ocpp_url, http_url,
       (SELECT count(DISTINCT s.charge_point) FROM socket s
         WHERE s.node = node.id AND s.closed_at IS NULL) AS charge_points
  FROM node WHERE heard_at > now() - lease ORDER BY started_at;

-- name: insert_sockets
-- Sockets were opened. Those of a charge point are booked one after the other, on whatever node they were opened: one of
-- them is the newest. Their turns are taken in the order in which they are given.
WITH turn AS MATERIALIZED (
    SELECT o.*, pg_advisory_xact_lock(7002, hashtext(o.charge_point))
      FROM unnest(:ids::uuid[], :charge_points::text[], :protocols::text[], :remotes::text[], :opened_ats::timestamptz[])
           AS o (id, charge_point, protocol, remote, opened_at)
)
INSERT INTO socket (id, charge_point, node, protocol, remote, opened_at)
SELECT id, charge_point, :node::uuid, protocol, remote, opened_at
  FROM turn
    ON CONFLICT DO NOTHING;

-- name: close_sockets
-- Sockets were closed.
UPDATE socket s SET closed_at = e.at, close_code = e.code, close_reason = e.reason
  FROM unnest(:ids::uuid[], :ats::timestamptz[], :codes::integer[], :reasons::text[]) AS e (id, at, code, reason)
 WHERE s.id = e.id AND s.closed_at IS NULL;

-- name: older_sockets_elsewhere
-- Sockets of these charge points that other nodes hold, as far as the books say.
SELECT id, node, charge_point FROM socket
 WHERE charge_point = ANY (:charge_points::text[]) AND closed_at IS NULL AND node <> :node::uuid;

-- name: sockets_to_give_up
-- Sockets of this node of which it may not have heard that they do not count any more: another node has a newer one, or
-- all the others took this node for dead and closed them in the books.
SELECT s.id, s.charge_point
  FROM socket s
 WHERE s.node = :node::uuid AND s.charge_point = ANY (:charge_points::text[])
   AND (s.close_reason = 'node lost'
        OR s.closed_at IS NULL AND EXISTS (SELECT FROM socket n
                                            WHERE n.charge_point = s.charge_point AND n.closed_at IS NULL
                                              AND n.node <> s.node AND n.opened_at > s.opened_at));

-- name: insert_command
-- A command on its way; whoever holds the socket takes it. `kept` is what stays of it.
INSERT INTO command (id, charge_point, body, kept, actor, expires_at)
VALUES (:id::uuid, :charge_point::text, :body::jsonb, :kept::jsonb, :actor::text, now() + :patience::interval);

-- name: notify
-- Wake whoever listens.
SELECT pg_notify(:channel::text, :payload::text);

-- name: take_commands
-- Commands for charge points whose sockets we hold.
UPDATE command SET node = :node::uuid, taken_at = now()
 WHERE id IN (SELECT id FROM command
               WHERE done_at IS NULL AND taken_at IS NULL AND expires_at > now()
                 AND charge_point = ANY (:charge_points::text[])
               FOR UPDATE SKIP LOCKED)
RETURNING id, charge_point, body, created_at, extract(epoch FROM expires_at - now())::double precision AS patience_s;

-- name: give_back_command
-- It was not sent: whichever node the charge point comes to next may take it.
UPDATE command SET node = NULL, taken_at = NULL
 WHERE id = :id::uuid AND node = :node::uuid AND done_at IS NULL;

-- name: finish_command
-- What the charge point made of it; the secrets that it carried are gone.
UPDATE command SET outcome = :outcome::jsonb, done_at = now(), body = NULL
 WHERE id = :id::uuid AND done_at IS NULL;

-- name: command_outcome
-- What became of a command so far.
SELECT outcome, taken_at, done_at FROM command WHERE id = :id::uuid;

-- name: give_up_commands
-- Commands that nobody could deliver in time, and those whose node died with them: they may have been carried out, so
-- nobody else does. What they carried goes with them.
UPDATE command
   SET done_at = now(),
       body = NULL,
       outcome = jsonb_build_object('accepted', false, 'status',
                                    CASE WHEN taken_at IS NULL THEN 'offline' ELSE 'timeout' END,
                                    'data', '{}'::jsonb, 'detail',
                                    CASE WHEN taken_at IS NULL THEN 'no node had a socket of it in time'
                                         WHEN expires_at <= now() - :grace::interval
                                         THEN 'the node that took it has not said what became of it'
                                         ELSE 'the node that had taken it died: whether it was done is not known' END)
 WHERE id IN (SELECT c.id FROM command c
               WHERE c.done_at IS NULL
                 AND (c.expires_at <= now() - :grace::interval
                      OR c.taken_at IS NOT NULL
                         AND NOT EXISTS (SELECT FROM node n WHERE n.id = c.node AND n.heard_at > now() - n.lease))
                 FOR UPDATE SKIP LOCKED)
RETURNING id;

-- name: connections_allowed
-- How many connections the login that we use may have, all processes together.
SELECT least(current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer,
             nullif(d.datconnlimit, -1), nullif(r.rolconnlimit, -1))
  FROM pg_database d, pg_roles r
 WHERE d.datname = current_database() AND r.rolname = session_user;

-- name: take_turn
-- One node does this for all; whether it is us, now. Nobody takes the next turn before `every` has passed. A turn in the
-- future was taken before the clock was set back.
INSERT INTO turn AS t (work, node, taken_at) VALUES (:work::text, :node::uuid, now())
    ON CONFLICT (work) DO UPDATE SET node = excluded.node, taken_at = excluded.taken_at
 WHERE t.taken_at NOT BETWEEN excluded.taken_at - :every::interval AND excluded.taken_at + :every::interval
RETURNING true;

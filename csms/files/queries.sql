-- name: insert_file
-- A file that is about to get its content.
INSERT INTO file (kind, name, charge_point, actor)
VALUES (:kind::text, :name::text, :charge_point::text, :actor::text)
RETURNING id;

-- name: insert_part
-- The next bytes of a file that an operator adds.
INSERT INTO file_part (file, at_byte, content) VALUES (:file::bigint, :at_byte::bigint, :content::bytea);

-- name: complete_file
-- All of it is here.
UPDATE file SET size_bytes = :size_bytes::bigint, sha256 = :sha256::bytea, completed_at = now()
 WHERE id = :id::bigint AND completed_at IS NULL;

-- name: files
-- Files, newest first; with what charge points have fetched of them.
SELECT f.*, (SELECT count(DISTINCT g.charge_point) FROM file_grant g JOIN file_transfer t ON t."grant" = g.id
              WHERE g.file = f.id AND g.direction = 'download' AND t.whole) AS fetched_by
  FROM file f
 WHERE (:id::bigint IS NULL OR f.id = :id)
   AND (:kind::text IS NULL OR f.kind = :kind)
   AND (:charge_point::text IS NULL OR f.charge_point = :charge_point)
   AND (:even_gone::boolean OR (f.deleted_at IS NULL AND f.completed_at IS NOT NULL))
 ORDER BY f.id DESC
 LIMIT :most::integer;

-- name: part_at
-- The part of a file in which a byte lies.
SELECT at_byte, content FROM file_part
 WHERE file = :file::bigint AND at_byte <= :at_byte::bigint
 ORDER BY at_byte DESC LIMIT 1;

-- name: received_bytes
-- How much of a file is here.
SELECT coalesce((SELECT at_byte + length(content) FROM file_part
                  WHERE file = :file::bigint ORDER BY at_byte DESC LIMIT 1), 0);

-- name: delete_parts
-- The content of a file.
DELETE FROM file_part WHERE file = :file::bigint;

-- name: delete_parts_of_run
-- What an attempt to send has brought, while it is the present one.
WITH present AS (SELECT file FROM file_grant WHERE id = :grant::bigint AND run = :run::integer AND used_at IS NULL
                    FOR UPDATE)
DELETE FROM file_part USING present WHERE file_part.file = present.file;

-- name: mark_deleted
-- A file whose content is gone.
UPDATE file SET deleted_at = now(), deleted_by = :actor::text WHERE id = :id::bigint AND deleted_at IS NULL RETURNING id;

-- name: image_of_file
-- The firmware that a file is, while it is offered.
SELECT id, version FROM firmware_image WHERE file = :file::bigint AND withdrawn_at IS NULL;

-- name: old_logs
-- Logs that have been kept for long enough, and uploads that never ended.
SELECT id FROM file
 WHERE kind = 'log' AND deleted_at IS NULL
   AND created_at < now() - CASE WHEN completed_at IS NULL THEN interval '2 days' ELSE :keep::interval END
   AND NOT EXISTS (SELECT FROM file_grant g WHERE g.file = file.id AND g.used_at IS NULL AND g.expires_at > now())
 LIMIT 100;

-- name: insert_grant
-- An address for one charge point.
INSERT INTO file_grant (token_hash, direction, charge_point, file, request, bytes_max, expires_at)
VALUES (:token_hash::bytea, :direction::text, :charge_point::text, :file::bigint, :request::integer,
        :bytes_max::bigint, now() + :lifetime::interval)
RETURNING id;

-- name: grant_of
-- What an address stands for. It is looked up by the hash: how long that takes tells nothing of the token.
SELECT g.*, g.expires_at <= now() AS expired, f.name, f.size_bytes, f.sha256, f.completed_at,
       f.deleted_at IS NOT NULL AS gone
  FROM file_grant g LEFT JOIN file f ON f.id = g.file
 WHERE g.token_hash = :token_hash::bytea;

-- name: hold_grant
-- An address to which an attempt to send begins. Nobody waits for one who has it already.
SELECT file FROM file_grant
 WHERE id = :id::bigint AND used_at IS NULL AND expires_at > now()
   FOR UPDATE NOWAIT;

-- name: begin_run
-- An attempt to send begins, and takes over from one that may still be on its way.
UPDATE file_grant SET run = run + 1, file = :file::bigint WHERE id = :id::bigint
RETURNING run;

-- name: rename_file
-- The charge point says what its file is called.
UPDATE file SET name = :name::text WHERE id = :id::bigint AND completed_at IS NULL;

-- name: add_part
-- The next bytes of a file that a charge point sends, while its attempt is the present one.
WITH present AS (SELECT file FROM file_grant
                  WHERE id = :grant::bigint AND run = :run::integer AND used_at IS NULL
                    FOR UPDATE)
INSERT INTO file_part (file, at_byte, content)
SELECT file, :at_byte::bigint, :content::bytea FROM present
RETURNING at_byte;

-- name: use_up
-- The file is here; the address has done its duty.
UPDATE file_grant SET used_at = now()
 WHERE id = :grant::bigint AND run = :run::integer AND used_at IS NULL
RETURNING file;

-- name: insert_transfer
-- What went over the wire. Of one address no more than a number of rows, whatever its holder does; the first whole
-- transfer is kept beyond it, since others go by that.
INSERT INTO file_transfer ("grant", first_byte, bytes, whole, outcome, remote, began_at)
SELECT :grant::bigint, :first_byte::bigint, :bytes::bigint, :whole::boolean, :outcome::text, :remote::text,
       :began_at::timestamptz
 WHERE (SELECT count(*) FROM (SELECT FROM file_transfer t WHERE t."grant" = :grant LIMIT :most::integer) kept) < :most
    OR (:whole AND NOT EXISTS (SELECT FROM file_transfer t WHERE t."grant" = :grant AND t.whole));

-- name: transfers_of_file
-- Who fetched or sent it, oldest first.
SELECT t.at, g.direction, g.charge_point, g.request, t.first_byte, t.bytes, t.whole, t.outcome, t.remote
  FROM file_transfer t JOIN file_grant g ON g.id = t."grant"
 WHERE g.file = :file::bigint
 ORDER BY t.id DESC LIMIT 200;

-- name: set_files_url
-- Where charge points reach the files of this node.
UPDATE node SET files_url = :url::text WHERE id = :node::uuid AND files_url IS DISTINCT FROM :url;

-- name: live_files_url
-- Where charge points reach files, of any server that lives.
SELECT files_url FROM node WHERE files_url IS NOT NULL AND heard_at > now() - lease ORDER BY started_at LIMIT 1;

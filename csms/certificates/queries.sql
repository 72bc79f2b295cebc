-- name: lock_charge_point
-- One request of a charge point at a time, whichever node it came to.
SELECT serial, serial_registered FROM charge_point WHERE id = :charge_point::text FOR NO KEY UPDATE;

-- name: requests_since
-- How many requests of a charge point were kept since an instant.
SELECT count(*) FROM certificate_request WHERE charge_point = :charge_point::text AND received_at > :since::timestamptz;

-- name: open_repeat
-- The request that is still worked at and was sent in the same words.
SELECT r.id
  FROM certificate_request r JOIN certificate_work w ON w.request = r.id
 WHERE r.charge_point = :charge_point::text AND r.purpose = :purpose::text AND r.key = :key::bytea
   AND w.state IN ('due', 'issued')
 ORDER BY r.id DESC LIMIT 1;

-- name: name_is_taken
-- Whether another charge point has this name: as its identity, as the serial number registered for it, or, unless the
-- name is registered for this one, because it has told it for longer. Plain names only: they are compared in ASCII.
SELECT EXISTS (SELECT FROM charge_point me, charge_point o
                WHERE me.id = :charge_point::text AND o.id <> me.id
                  AND (lower(o.id COLLATE "C") = lower(:name::text COLLATE "C")
                       OR lower(o.serial_registered COLLATE "C") = lower(:name::text COLLATE "C")
                       OR me.serial_registered IS NULL AND o.serial_registered IS NULL
                          AND lower(o.serial COLLATE "C") = lower(:name::text COLLATE "C")
                          AND (coalesce(o.serial_since, '-infinity'), o.id)
                              < (coalesce(me.serial_since, 'infinity'), me.id)));

-- name: on_record
-- For whom a certificate was made, and whether it is revoked; a number stands once with each issuer.
SELECT c.charge_point, v.certificate IS NOT NULL AS is_revoked
  FROM certificate c LEFT JOIN certificate_revocation v ON v.certificate = c.id
 WHERE c.number = :number::text AND c.issuer_der = :issuer_der::bytea
 ORDER BY is_revoked DESC, c.id LIMIT 1;

-- name: insert_request
-- What a charge point asked for, and how it is answered.
INSERT INTO certificate_request (charge_point, purpose, key, csr, length, fault, quirks, received_at)
VALUES (:charge_point::text, :purpose::text, :key::bytea, :csr::text, :length::integer, :fault::text, :quirks::text,
        :received_at::timestamptz)
RETURNING id;

-- name: insert_work
-- An accepted request is to be worked at.
INSERT INTO certificate_work (request, due_at) VALUES (:request::bigint, :due_at::timestamptz);

-- name: supersede
-- Older requests for the same purpose: the charge point has made another key since.
UPDATE certificate_work w
   SET state = 'superseded', changed_at = now()
  FROM certificate_request r
 WHERE r.id = w.request AND r.charge_point = :charge_point::text AND r.purpose = :purpose::text
   AND r.id < :request::bigint AND w.state IN ('due', 'issued');

-- name: take_due
-- A request to have signed now; whoever takes it has so long for it.
UPDATE certificate_work w
   SET due_at = now() + :lease::interval, tries = w.tries + 1
  FROM (SELECT k.request
          FROM certificate_work k JOIN certificate_request q ON q.id = k.request
         WHERE k.state = 'due' AND k.due_at <= now() AND q.purpose = ANY (:purposes::text[])
         ORDER BY k.due_at LIMIT 1
           FOR UPDATE OF k SKIP LOCKED) taken
  JOIN certificate_request r ON r.id = taken.request
 WHERE w.request = taken.request
RETURNING w.request, w.tries, r.charge_point, r.purpose, r.csr;

-- name: take_deliveries
-- Certificates to send now, to charge points that are online and not turned away: pending ones are furnished (B02).
UPDATE certificate_work w
   SET due_at = now() + :lease::interval, tries = w.tries + 1
  FROM (SELECT k.request
          FROM certificate_work k JOIN certificate_request q ON q.id = k.request
          JOIN charge_point p ON p.id = q.charge_point AND p.registration <> 'Rejected'
         WHERE k.state = 'issued' AND k.due_at <= now()
           AND EXISTS (SELECT FROM socket s JOIN node n ON n.id = s.node
                        WHERE s.charge_point = q.charge_point AND s.closed_at IS NULL AND n.heard_at > now() - n.lease)
         ORDER BY k.due_at LIMIT :most::integer
           FOR UPDATE OF k SKIP LOCKED) taken
  JOIN certificate c ON c.request = taken.request
 WHERE w.request = taken.request
RETURNING w.request, w.tries, c.id AS certificate, c.charge_point, c.purpose, c.chain;

-- name: work_at
-- How a request goes on. A state that is final stays, whoever comes late.
UPDATE certificate_work
   SET state = :state::text, due_at = :due_at::timestamptz, problem = :problem::text, changed_at = now(),
       tries = CASE WHEN state = :state::text THEN tries ELSE 0 END
 WHERE request = :request::bigint AND state IN ('due', 'issued')
RETURNING state;

-- name: insert_certificate
-- What was made; nothing where the request has its certificate already.
INSERT INTO certificate (request, charge_point, purpose, source, number, fingerprint, subject, issuer, issuer_der, chain,
                         valid_from, valid_until)
VALUES (:request::bigint, :charge_point::text, :purpose::text, :source::text, :number::text, :fingerprint::text,
        :subject::text, :issuer::text, :issuer_der::bytea, :chain::text, :valid_from::timestamptz, :valid_until::timestamptz)
    ON CONFLICT (request) DO NOTHING
RETURNING id;

-- name: insert_delivery
-- What a charge point said to its certificate.
INSERT INTO certificate_delivery (certificate, accepted, status, detail)
VALUES (:certificate::bigint, :accepted::boolean, :status::text, :detail::text);

-- name: chain_limits
-- What a charge point says of the longest chain it takes.
SELECT value FROM device_setting
 WHERE charge_point = :charge_point::text
   AND lower(name) IN ('certificatesignedmaxchainsize', 'securityctrlr.maxcertificatechainsize');

-- name: listed
-- Requests with all that came of them, the newest first; with `latest` only two of each charge point and purpose: the
-- newest, and that of the certificate which was taken last.
SELECT r.id AS request, r.charge_point, r.purpose, r.csr, r.fault, r.length, r.received_at, w.state, w.tries, w.problem, w.due_at,
       c.id AS certificate, c.source, c.number, c.fingerprint, c.subject, c.issuer, c.chain, c.valid_from, c.valid_until,
       c.at AS issued_at, v.at AS revoked_at, v.reason AS revoked_for, v.actor AS revoked_by,
       d.status AS outcome, d.detail, d.at AS answered_at
  FROM (SELECT q.*, max(q.id) OVER these AS newest, max(q.id) FILTER (WHERE k.state = 'installed') OVER these AS in_use
          FROM certificate_request q LEFT JOIN certificate_work k ON k.request = q.id
         WHERE :charge_point::text IS NULL OR q.charge_point = :charge_point
        WINDOW these AS (PARTITION BY q.charge_point, q.purpose)) r
  JOIN charge_point p ON p.id = r.charge_point
  LEFT JOIN certificate_work w ON w.request = r.id
  LEFT JOIN certificate c ON c.request = r.id
  LEFT JOIN certificate_revocation v ON v.certificate = c.id
  LEFT JOIN LATERAL (SELECT * FROM certificate_delivery e WHERE e.certificate = c.id ORDER BY e.id DESC LIMIT 1) d ON true
 WHERE (:site::text IS NULL OR p.site = :site) AND (NOT :latest::boolean OR r.id IN (r.newest, r.in_use))
   AND (:number::text IS NULL OR c.number = :number)
 ORDER BY r.id DESC LIMIT :most::integer;

-- name: in_use
-- The certificate that each charge point took last for each purpose, unless it is revoked.
SELECT c.id, c.charge_point, c.purpose, c.source, c.number, c.subject, c.issuer, c.valid_until,
       EXISTS (SELECT FROM certificate_work w JOIN certificate_request r ON r.id = w.request
                WHERE r.charge_point = c.charge_point AND w.state IN ('due', 'issued')) AS is_renewing,
       (SELECT max(n.at) FROM certificate_renewal n
         WHERE n.charge_point = c.charge_point AND n.purpose = c.purpose) AS renewal_asked_at,
       (SELECT s.protocol FROM socket s JOIN node n ON n.id = s.node
         WHERE s.charge_point = c.charge_point AND s.closed_at IS NULL AND n.heard_at > now() - n.lease
         ORDER BY s.opened_at DESC LIMIT 1) AS spoken
  FROM (SELECT DISTINCT ON (c.charge_point, c.purpose) c.*
          FROM certificate c JOIN certificate_work w ON w.request = c.request
         WHERE w.state = 'installed'
         ORDER BY c.charge_point, c.purpose, c.id DESC) c
  JOIN charge_point p ON p.id = c.charge_point
 WHERE (:before::timestamptz IS NULL OR c.valid_until < :before)
   AND (:site::text IS NULL OR p.site = :site)
   AND NOT EXISTS (SELECT FROM certificate_revocation v WHERE v.certificate = c.id)
 ORDER BY c.valid_until, c.id;

-- name: installations_ending
-- Certificates that charge points were given to trust and took, and that end before an instant.
SELECT DISTINCT ON (i.charge_point, i.use, i.number) i.charge_point, i.use, i.number, i.subject, i.valid_until
  FROM certificate_installation i
  JOIN installed_certificate t ON t.charge_point = i.charge_point AND t.use = i.use
                              AND ltrim(upper(t.number), '0') = i.number
  JOIN charge_point p ON p.id = i.charge_point
 WHERE i.accepted AND i.valid_until < :before::timestamptz AND (:site::text IS NULL OR p.site = :site)
 ORDER BY i.charge_point, i.use, i.number, i.id DESC;

-- name: insert_revocation
-- A certificate counts no longer; nothing where it did not before.
INSERT INTO certificate_revocation (certificate, reason, actor)
VALUES (:certificate::bigint, :reason::text, :actor::text)
    ON CONFLICT DO NOTHING
RETURNING certificate;

-- name: revoked
-- Certificates of an issuer that were revoked and have not ended, oldest first.
SELECT c.number, v.reason, v.at
  FROM certificate_revocation v JOIN certificate c ON c.id = v.certificate
 WHERE c.issuer_der = :issuer_der::bytea AND c.valid_until > now() - interval '1 day'
 ORDER BY v.at, c.id;

-- name: insert_authority
-- A new root.
INSERT INTO certificate_authority (organisation, certificate, fingerprint, valid_until, actor)
VALUES (:organisation::text, :certificate::text, :fingerprint::text, :valid_until::timestamptz, :actor::text)
RETURNING id;

-- name: authorities
-- Roots of the embedded authority, the newest first.
SELECT * FROM certificate_authority ORDER BY id DESC;

-- name: newest_authority
-- The root that signs.
SELECT certificate FROM certificate_authority ORDER BY id DESC LIMIT 1;

-- name: insert_renewal
-- A charge point was asked for a new request.
INSERT INTO certificate_renewal (charge_point, purpose, accepted, status, detail, actor)
VALUES (:charge_point::text, :purpose::text, :accepted::boolean, :status::text, :detail::text, :actor::text);

-- name: waiting_since
-- Accepted requests that nobody has signed since before an instant.
SELECT w.request, r.charge_point, w.problem
  FROM certificate_work w JOIN certificate_request r ON r.id = w.request
 WHERE w.state = 'due' AND r.received_at < :before::timestamptz
 ORDER BY w.request LIMIT 100;

-- name: forget_installed
-- What a charge point trusted, by its list before this one.
DELETE FROM installed_certificate
 WHERE charge_point = :charge_point::text AND (cardinality(:uses::text[]) = 0 OR use = ANY (:uses));

-- name: insert_installed
-- What a charge point trusts, by its own list.
INSERT INTO installed_certificate (charge_point, use, algorithm, issuer_name, issuer_key, number, child_of, told_at)
SELECT :charge_point::text, t.use, t.algorithm, t.issuer_name, t.issuer_key, t.number, t.child_of, now()
  FROM unnest(:uses::text[], :algorithms::text[], :issuer_names::text[], :issuer_keys::text[], :numbers::text[],
              :children_of::text[]) AS t (use, algorithm, issuer_name, issuer_key, number, child_of)
    ON CONFLICT DO NOTHING;

-- name: installed
-- What charge points trust, with what is known of it because we sent it.
SELECT t.charge_point, t.use, t.number, t.algorithm, t.issuer_name, t.issuer_key, t.child_of, t.told_at, i.subject, i.valid_until
  FROM installed_certificate t
  JOIN charge_point p ON p.id = t.charge_point
  LEFT JOIN LATERAL (SELECT n.subject, n.valid_until FROM certificate_installation n
                      WHERE n.charge_point = t.charge_point AND n.use = t.use AND n.number = ltrim(upper(t.number), '0')
                      ORDER BY n.id DESC LIMIT 1) i ON true
 WHERE (:charge_point::text IS NULL OR t.charge_point = :charge_point) AND (:site::text IS NULL OR p.site = :site)
 ORDER BY t.charge_point, t.use, t.child_of NULLS FIRST, t.number;

-- name: insert_installation
-- A certificate was sent to be trusted.
INSERT INTO certificate_installation (charge_point, use, certificate, number, subject, valid_until, accepted, status, detail,
                                      actor)
VALUES (:charge_point::text, :use::text, :certificate::text, :number::text, :subject::text, :valid_until::timestamptz,
        :accepted::boolean, :status::text, :detail::text, :actor::text);

-- name: insert_inquiry
-- What a charging station had us find out.
INSERT INTO certificate_inquiry (charge_point, message, body, accepted, reason, received_at)
VALUES (:charge_point::text, :message::text, :body::jsonb, :accepted::boolean, :reason::text, :received_at::timestamptz);

-- name: drop_oldest_inquiries
-- Keep the newest so many of a charge point.
DELETE FROM certificate_inquiry
 WHERE charge_point = :charge_point::text
   AND id <= (SELECT id FROM certificate_inquiry WHERE charge_point = :charge_point
               ORDER BY id DESC OFFSET :kept::integer LIMIT 1);

-- name: inquiries
-- What charging stations had us find out, the newest first.
SELECT charge_point, message, body, accepted, reason, received_at
  FROM certificate_inquiry
 WHERE :charge_point::text IS NULL OR charge_point = :charge_point
 ORDER BY id DESC LIMIT :most::integer;

-- name: insert_alarm
-- Something to look at; nothing where it was said before.
INSERT INTO certificate_alarm (kind, key, charge_point, detail, next_step)
VALUES (:kind::text, :key::text, :charge_point::text, :detail::text, :next_step::text)
    ON CONFLICT (kind, key) DO NOTHING
RETURNING id;

-- name: alarms
-- What is to be looked at, the newest first.
SELECT at, kind, charge_point, detail, next_step AS next
  FROM certificate_alarm
 WHERE :charge_point::text IS NULL OR charge_point = :charge_point
 ORDER BY id DESC LIMIT :most::integer;

-- name: waiting
-- Accepted requests that have no certificate yet.
SELECT count(*) FROM certificate_work WHERE state = 'due';

-- name: try_watch
-- Whether this node looks at what ends; in one transaction at a time.
SELECT pg_try_advisory_xact_lock(hashtextextended('csms certificate watch', 0));

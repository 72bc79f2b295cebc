-- name: remember_key
-- The first key that was used here is the one.
INSERT INTO installation (name, value) VALUES ('password_key', :fingerprint::text) ON CONFLICT DO NOTHING;

-- name: remembered_key
-- The fingerprint of the key that the password hashes were made with.
SELECT value FROM installation WHERE name = 'password_key';

-- name: find_charge_points
-- The charge points of identities, in whatever case they were written, with the passwords that they may hold besides.
-- Whether another has its told serial number is asked only where certificates are the proof; names are compared in ASCII.
SELECT asked.identity, c.*, w.changes, w.salts, w.hashes,
       (SELECT max(g.settled_at) FROM password_change g WHERE g.charge_point = c.id AND g.state = 'in_use') AS password_given_at,
       CASE WHEN 3 IN (c.security_profile, c.security_profile_wanted) THEN
            EXISTS (SELECT FROM charge_point o
                     WHERE o.id <> c.id
                       AND (lower(o.id COLLATE "C") = lower(c.serial COLLATE "C")
                            OR lower(o.serial_registered COLLATE "C") = lower(c.serial COLLATE "C")))
       END AS serial_is_anothers
  FROM unnest(:identities::text[]) AS asked (identity)
  JOIN charge_point c ON lower(c.id) = lower(asked.identity)
  LEFT JOIN LATERAL (SELECT array_agg(p.id ORDER BY p.id) AS changes, array_agg(p.salt ORDER BY p.id) AS salts,
                            array_agg(p.hash ORDER BY p.id) AS hashes
                       FROM password_change p WHERE p.charge_point = c.id AND p.hash IS NOT NULL) w ON true;

-- name: insert_charge_point
-- A charge point that an operator makes known.
INSERT INTO charge_point (id, site, registration, security_profile, password_salt, password_hash, protocol, strict,
                          template, current, max_power_w, time_zone, idle_after_stop, idle_cap_s, serial_registered,
                          product, password_changed_at)
VALUES (:id::text, :site::text, :registration::text, :security_profile::smallint, :password_salt::bytea,
        :password_hash::bytea, :protocol::text, :strict::boolean, :template::boolean, :current::text,
        :max_power_w::numeric, :time_zone::text, :idle_after_stop::boolean, :idle_cap_s::integer, :serial::text,
        :product::text,
        CASE WHEN :password_hash::bytea IS NULL THEN NULL ELSE now() END)
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: change_charge_point
-- What an operator changes; NULL leaves a thing as it is.
UPDATE charge_point
   SET site = coalesce(:site::text, site),
       registration = coalesce(:registration::text, registration),
       security_profile = coalesce(:security_profile::smallint, security_profile),
       security_profile_wanted = CASE WHEN :security_profile IS NULL THEN security_profile_wanted END,
       password_salt = coalesce(:password_salt::bytea, password_salt),
       password_hash = coalesce(:password_hash::bytea, password_hash),
       password_changed_at = CASE WHEN :password_hash IS NULL THEN password_changed_at ELSE now() END,
       serial_registered = coalesce(:serial::text, serial_registered),
       protocol = coalesce(:protocol::text, protocol),
       strict = coalesce(:strict::boolean, strict),
       template = coalesce(:template::boolean, template),
       current = coalesce(:current::text, current),
       max_power_w = coalesce(:max_power_w::numeric, max_power_w),
       time_zone = coalesce(:time_zone::text, time_zone),
       idle_after_stop = coalesce(:idle_after_stop::boolean, idle_after_stop),
       idle_cap_s = coalesce(:idle_cap_s::integer, idle_cap_s),
       product = coalesce(:product::text, product)
 WHERE id = :id::text
RETURNING id;

-- name: drop_waiting_passwords
-- Nothing that was sent to this charge point opens the door any more.
UPDATE password_change SET state = 'superseded', settled_at = now(), salt = NULL, hash = NULL
 WHERE charge_point = :charge_point::text AND hash IS NOT NULL;

-- name: record_boots
-- What charge points say they are, each once; and all that a boot told, unless the one before told the same, and at most so
-- many a day: a charge point that boots in a loop fills nothing, whatever it tells. Rows are locked in the order of their
-- names, as others do. Answers how they are registered.
WITH told AS MATERIALIZED (
    SELECT * FROM unnest(:ids::text[], :vendors::text[], :models::text[], :serials::text[], :firmwares::text[],
                         :ats::timestamptz[], :bodies::jsonb[])
                  AS t (id, vendor, model, serial, firmware, at, body)
), locked AS MATERIALIZED (
    SELECT c.id FROM charge_point c WHERE c.id = ANY (:ids::text[]) ORDER BY c.id COLLATE "C" FOR NO KEY UPDATE
), noticed AS (
    INSERT INTO notice (charge_point, kind, body, received_at)
    SELECT t.id, 'boot', t.body, t.at
      FROM told t
     WHERE NOT EXISTS (SELECT FROM (SELECT n.body FROM notice n WHERE n.charge_point = t.id AND n.kind = 'boot'
                                     ORDER BY n.received_at DESC LIMIT 1) last WHERE last.body = t.body)
       AND (SELECT count(*) FROM notice n WHERE n.charge_point = t.id AND n.kind = 'boot'
                                            AND n.received_at > t.at - interval '1 day') < :a_day_max::integer
)
UPDATE charge_point c
   SET vendor = t.vendor, model = t.model, serial = t.serial, firmware = t.firmware, booted_at = t.at,
       serial_since = CASE WHEN lower(c.serial COLLATE "C") IS DISTINCT FROM lower(t.serial COLLATE "C")
                           THEN t.at ELSE c.serial_since END
  FROM told t JOIN locked l ON l.id = t.id
 WHERE c.id = t.id
RETURNING c.id, c.registration, c.template;

-- name: newest_boot
-- What the charge point told when it booted last.
SELECT n.body FROM notice n WHERE n.charge_point = :id::text AND n.kind = 'boot' ORDER BY n.received_at DESC LIMIT 1;

-- name: list_charge_points
-- Charge points with their live socket, if any node holds one.
SELECT c.*, k.protocol AS spoken, k.remote, k.opened_at,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('evse', n.evse, 'connector', n.connector, 'status', n.status,
                                                     'error_code', n.error_code, 'reported_at', n.reported_at)
                                  ORDER BY n.evse, n.connector), '[]')
          FROM connector n WHERE n.charge_point = c.id) AS connectors
  FROM charge_point c
  LEFT JOIN LATERAL (SELECT s.* FROM socket s JOIN node ON node.id = s.node
                      WHERE s.charge_point = c.id AND s.closed_at IS NULL
                        AND node.heard_at > now() - node.lease
                      ORDER BY s.opened_at DESC LIMIT 1) k ON true
 WHERE (:id::text IS NULL OR lower(c.id) = lower(:id))
   AND (:site::text IS NULL OR c.site = :site)
 ORDER BY c.id;

-- name: settings_of
-- Settings as the charge point last reported them.
SELECT name, value, mutability, read_at FROM device_setting WHERE charge_point = :charge_point::text ORDER BY name;

-- name: store_variables
-- What reports say of variables besides their values, of those that are kept as settings.
INSERT INTO device_variable (charge_point, name, described, reported_at)
SELECT t.*
  FROM unnest(:charge_points::text[], :names::text[], :described::jsonb[], :reported_ats::timestamptz[])
       AS t (charge_point, name, described, reported_at)
 WHERE EXISTS (SELECT FROM device_setting s WHERE s.charge_point = t.charge_point AND s.name = t.name)
    ON CONFLICT (charge_point, name)
    DO UPDATE SET described = excluded.described, reported_at = excluded.reported_at;

-- name: device_model
-- Settings as the charge point last reported them, with what its device model says of each.
SELECT s.name, s.value, s.mutability, s.read_at, v.described
  FROM device_setting s LEFT JOIN device_variable v ON v.charge_point = s.charge_point AND v.name = s.name
 WHERE s.charge_point = :charge_point::text
 ORDER BY s.name;

-- name: settings_named
-- Some settings as last reported, by their names in lower case.
SELECT name, value, mutability, read_at
  FROM device_setting
 WHERE charge_point = :charge_point::text AND lower(name) = ANY(:names::text[]);

-- name: template_results
-- What became of the metering template.
SELECT name, wanted, status, version, at FROM template_result WHERE charge_point = :charge_point::text ORDER BY name;

-- name: store_template_result
-- What the charge point said to one wanted setting.
INSERT INTO template_result (charge_point, name, wanted, status, version)
VALUES (:charge_point::text, :name::text, :wanted::text, :status::text, :version::integer)
    ON CONFLICT (charge_point, name)
    DO UPDATE SET wanted = excluded.wanted, status = excluded.status, version = excluded.version, at = now();

-- name: store_settings
-- Settings of one charge point as just read or set; whoever does not say whether one can be set leaves what is known.
INSERT INTO device_setting (charge_point, name, value, mutability, read_at)
SELECT :charge_point::text, name, value, mutability, now()
  FROM unnest(:names::text[], :values::text[], :mutabilities::text[]) AS told (name, value, mutability)
 ORDER BY name
    ON CONFLICT (charge_point, name)
    DO UPDATE SET value = excluded.value, mutability = coalesce(excluded.mutability, device_setting.mutability),
                  read_at = excluded.read_at;

-- name: frames_since
-- Traffic of a charge point after an instant, oldest first.
SELECT direction, action, body, received_at
  FROM frame
 WHERE charge_point = :charge_point::text AND received_at > :since::timestamptz
 ORDER BY received_at
 LIMIT :most::integer;

-- name: latest_frames
-- The newest traffic of a charge point, newest first.
SELECT direction, action, body, received_at
  FROM frame WHERE charge_point = :charge_point::text
 ORDER BY received_at DESC LIMIT :most::integer;

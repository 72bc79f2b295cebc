-- name: lock_charge_point
-- One template at a time goes into a charge point, on whatever machine; false where another one is at it.
SELECT pg_try_advisory_lock(7017, hashtext(:charge_point::text));

-- name: unlock_charge_point
-- The template is in.
SELECT pg_advisory_unlock(7017, hashtext(:charge_point::text));

-- name: lock_name
-- Versions of a template are counted one after the other.
SELECT pg_advisory_xact_lock(7018, hashtext(:name::text));

-- name: insert_template
-- A new version.
INSERT INTO setting_template (name, version, description, settings, actor)
VALUES (:name::text, :version::integer, :description::text, :settings::jsonb, :actor::text);

-- name: find_template
-- A version of a template; NULL is the newest.
SELECT name, version, description, settings, actor, created_at
  FROM setting_template
 WHERE name = :name::text AND (:version::integer IS NULL OR version = :version)
 ORDER BY version DESC LIMIT 1;

-- name: list_templates
-- The newest version of each, and in how many charge points it is: applied whole, refused in part, unfinished.
SELECT DISTINCT ON (t.name) t.name, t.version, t.description, t.settings, t.actor, t.created_at,
       (SELECT count(*) FROM template_use u
         WHERE u.template = t.name AND u.version = t.version AND u.outcome = 'applied') AS applied,
       (SELECT count(*) FROM template_use u
         WHERE u.template = t.name AND u.version = t.version AND u.completed_at IS NOT NULL
           AND u.outcome <> 'applied') AS with_findings,
       (SELECT count(*) FROM template_use u
         WHERE u.template = t.name AND u.version = t.version AND u.completed_at IS NULL) AS unfinished
  FROM setting_template t
 ORDER BY t.name, t.version DESC;

-- name: begin_use
-- A template on its way into a charge point; one that was completed before is so no more until all is answered again.
INSERT INTO template_use AS u (charge_point, template, version, actor, outcome)
VALUES (:charge_point::text, :template::text, :version::integer, :actor::text, 'unfinished')
    ON CONFLICT (charge_point, template, version)
    DO UPDATE SET actor = excluded.actor, outcome = excluded.outcome, detail = NULL, attempted_at = now(),
                  completed_at = NULL;

-- name: end_use
-- What became of it; complete once each setting has an answer.
UPDATE template_use
   SET outcome = :outcome::text, detail = :detail::text, attempted_at = now(),
       completed_at = CASE WHEN :complete::boolean THEN now() END
 WHERE charge_point = :charge_point::text AND template = :template::text AND version = :version::integer;

-- name: find_use
-- What became of a version of a template in a charge point, and whether that has booted since.
SELECT u.outcome, u.detail, u.began_at, u.attempted_at, u.completed_at,
       coalesce(c.booted_at > u.completed_at, false) AS rebooted
  FROM template_use u JOIN charge_point c ON c.id = u.charge_point
 WHERE u.charge_point = :charge_point::text AND u.template = :template::text AND u.version = :version::integer;

-- name: list_uses
-- Where a version of a template was given to.
SELECT u.charge_point AS id, c.site, u.outcome, u.detail, u.actor, u.began_at, u.attempted_at, u.completed_at
  FROM template_use u JOIN charge_point c ON c.id = u.charge_point
 WHERE u.template = :template::text AND u.version = :version::integer
 ORDER BY u.charge_point;

-- name: answers
-- What a charge point said to the settings of a version of a template.
SELECT name, wanted, before, status, asked_at, answered_at
  FROM template_setting
 WHERE charge_point = :charge_point::text AND template = :template::text AND version = :version::integer
 ORDER BY name;

-- name: note_asked
-- A setting is about to be asked for: until it is answered, nobody knows.
INSERT INTO template_setting (charge_point, template, version, name, wanted, before)
VALUES (:charge_point::text, :template::text, :version::integer, :name::text, :wanted::text, :before::text)
    ON CONFLICT (charge_point, template, version, name)
    DO UPDATE SET wanted = excluded.wanted, before = excluded.before, status = NULL, asked_at = now(),
                  answered_at = NULL;

-- name: note_answer
-- What it said.
UPDATE template_setting SET status = :status::text, answered_at = now()
 WHERE charge_point = :charge_point::text AND template = :template::text AND version = :version::integer
   AND name = :name::text;

-- name: note_standing
-- What was read off its settings without asking.
INSERT INTO template_setting (charge_point, template, version, name, wanted, before, status, answered_at)
VALUES (:charge_point::text, :template::text, :version::integer, :name::text, :wanted::text, :before::text,
        :status::text, now())
    ON CONFLICT (charge_point, template, version, name)
    DO UPDATE SET wanted = excluded.wanted, before = excluded.before, status = excluded.status, asked_at = now(),
                  answered_at = now();

-- name: given
-- The newest version of each template that a charge point was given, and whether a newer one exists.
SELECT DISTINCT ON (u.charge_point, u.template)
       u.charge_point, c.booted_at, u.template, u.version, u.completed_at,
       (SELECT max(t.version) FROM setting_template t WHERE t.name = u.template) AS newest
  FROM template_use u JOIN charge_point c ON c.id = u.charge_point
 WHERE u.charge_point = ANY(:charge_points::text[])
   AND (:template::text IS NULL OR u.template = :template)
 ORDER BY u.charge_point, u.template, u.version DESC;

-- name: insert_site
-- A site that an operator makes known.
INSERT INTO site (id, name, country, time_zone, currency)
VALUES (:id::text, :name::text, :country::text, :time_zone::text, :currency::text)
    ON CONFLICT DO NOTHING
RETURNING id;

-- name: list_sites
-- Sites with how many charge points they have.
SELECT s.id, s.name, s.country, s.time_zone, s.currency, s.created_at,
       (SELECT count(*) FROM charge_point c WHERE c.site = s.id) AS charge_points
  FROM site s
 WHERE :id::text IS NULL OR s.id = :id
 ORDER BY s.id;

-- name: insert_group_event
-- A site joins or leaves a location group.
INSERT INTO location_group_event (site, location_group, is_member, actor)
VALUES (:site::text, :location_group::text, :is_member::boolean, :actor::text);

-- name: location_groups
-- Sites that are in groups now.
SELECT g.location_group, g.site, g.at AS since
  FROM (SELECT DISTINCT ON (location_group, site) * FROM location_group_event
         WHERE :location_group::text IS NULL OR location_group = :location_group
         ORDER BY location_group, site, at DESC, id DESC) g
 WHERE g.is_member
 ORDER BY g.location_group, g.site;

-- name: location_groups_at
-- The groups that these sites were in at these instants.
SELECT w.ordinality::integer AS n, array_agg(g.location_group ORDER BY g.location_group) AS location_groups
  FROM unnest(:sites::text[], :ats::timestamptz[]) WITH ORDINALITY AS w (site, at, ordinality)
  JOIN LATERAL (SELECT DISTINCT ON (location_group) location_group, is_member FROM location_group_event e
                 WHERE e.site = w.site AND e.at <= w.at
                 ORDER BY location_group, e.at DESC, e.id DESC) g ON g.is_member
 GROUP BY w.ordinality;

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

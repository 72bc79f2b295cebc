-- Price series: values are added, the newest of one begin counts.

-- name: find_series
-- One series by its name.
SELECT name, currency FROM price_series WHERE name = :name::text;

-- name: create_series
-- A series before its first values.
INSERT INTO price_series (name, currency) VALUES (:name::text, :currency::text) ON CONFLICT DO NOTHING;

-- name: add_values
-- What is new or differs from what counts; the others are there already.
INSERT INTO price_series_value (series, starts_at, ends_at, value)
SELECT :name::text, w.starts_at, w.ends_at, w.value
  FROM unnest(:starts::timestamptz[], :ends::timestamptz[], :values::numeric[]) AS w (starts_at, ends_at, value)
  LEFT JOIN LATERAL (SELECT v.ends_at, v.value FROM price_series_value v
                      WHERE v.series = :name AND v.starts_at = w.starts_at ORDER BY v.id DESC LIMIT 1) k ON true
 WHERE k.value IS DISTINCT FROM w.value OR k.ends_at IS DISTINCT FROM w.ends_at
RETURNING id;

-- name: list_series
-- Every series with how far its values reach.
SELECT s.name, s.currency, s.created_at, count(DISTINCT v.starts_at) AS values, min(v.starts_at) AS since,
       max(v.ends_at) AS until
  FROM price_series s LEFT JOIN price_series_value v ON v.series = s.name
 GROUP BY s.name ORDER BY s.name;

-- name: currencies_of
-- The currencies of some series; NULL: an index.
SELECT name, currency FROM price_series WHERE name = ANY(:names::text[]);

-- name: values_between
-- The values that count of some series, as far as they touch a span, and of each series the next one, which may cut the last.
SELECT DISTINCT ON (v.series, v.starts_at) v.series, v.starts_at, v.ends_at, v.value
  FROM unnest(:names::text[]) AS n (series)
  JOIN price_series_value v
    ON v.series = n.series
   AND v.starts_at >= coalesce((SELECT max(p.starts_at) FROM price_series_value p
                                 WHERE p.series = n.series AND p.starts_at <= :since::timestamptz), :since)
   AND v.starts_at <= coalesce((SELECT min(p.starts_at) FROM price_series_value p
                                 WHERE p.series = n.series AND p.starts_at >= :until::timestamptz), :until)
 ORDER BY v.series, v.starts_at, v.id DESC;

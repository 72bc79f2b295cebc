-- What third parties bear of documents, until they are asked for it: written with the document, deleted with the claim.
CREATE TABLE borne_due (
    source    text PRIMARY KEY,
    seller    text NOT NULL,
    party     text NOT NULL,
    currency  text NOT NULL,
    invoice   bigint NOT NULL REFERENCES invoice,
    until     date NOT NULL,
    minor     bigint NOT NULL CHECK (minor <> 0),
    labels    text NOT NULL
);
CREATE INDEX borne_due_party ON borne_due (seller, party, currency, invoice);

INSERT INTO borne_due (source, seller, party, currency, invoice, until, minor, labels)
SELECT 'borne:' || i.seller || ':' || i.number || coalesce('@' || o.number, '') || ':' || p.party, i.seller, p.party,
       i.currency, i.id, (i.body->'days'->>1)::date, CASE WHEN i.kind = 'invoice' THEN p.minor ELSE -p.minor END, p.labels
  FROM invoice i
  LEFT JOIN invoice o ON o.id = i.corrects
 CROSS JOIN LATERAL (SELECT b->>'party' AS party, string_agg(DISTINCT b->>'label', ', ') AS labels,
                            sum((b->>'amount_minor')::bigint)::bigint AS minor
                       FROM jsonb_array_elements(i.body->'borne') AS b GROUP BY 1) AS p
 WHERE i.borne_minor <> 0 AND p.minor <> 0
   AND NOT EXISTS (SELECT FROM invoice_source s
                    WHERE s.source = 'borne:' || i.seller || ':' || i.number || ':' || p.party);

DROP INDEX IF EXISTS invoice_borne;

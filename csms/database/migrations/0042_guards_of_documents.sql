-- A session is invoiced once, and anew only in the act that takes back what it was invoiced for.
-- allows changed_rows on invoice_source: only sessions that were corrected have several claims, and those are few
-- allows added_index on invoice_source.invoice_source_after: only who issues a document waits, for some seconds per million rows
-- allows added_constraint on invoice_source.invoice_source_after: the server of before corrects no invoiced session until it is
--   replaced, as its claim would be a second first one: it is refused, and nothing of it stays

-- after: the claim of the session that this one follows, '' for its first. So a claim has one successor, and a session one first.
ALTER TABLE invoice_source ADD COLUMN after text NOT NULL DEFAULT '';

ALTER TABLE invoice_source DISABLE TRIGGER append_only;
ALTER TABLE invoice_source DISABLE TRIGGER append_only_row;
UPDATE invoice_source c
   SET after = p.source_before
  FROM (SELECT source, lag(source) OVER (PARTITION BY session ORDER BY invoice, source) AS source_before
          FROM invoice_source WHERE session IS NOT NULL) AS p
 WHERE p.source = c.source AND p.source_before IS NOT NULL;
ALTER TABLE invoice_source ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE invoice_source ENABLE ALWAYS TRIGGER append_only_row;

-- It finds the claims of a session as the index before it did.
CREATE UNIQUE INDEX invoice_source_after ON invoice_source (session, after) WHERE session IS NOT NULL;
DROP INDEX invoice_source_session;

-- A session is invoiced once, and anew only in the act that takes back what it was invoiced for; an issued document gets no more rows.
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

-- The rows of a document are written before it: once it stands, none is added. STABLE: it looks at what was there when the
-- statement began, as the server of before writes a document and its taxes in one.
CREATE FUNCTION csms_refuse_addition() RETURNS trigger LANGUAGE plpgsql STABLE AS $$
DECLARE
    issued text;
BEGIN
    IF TG_TABLE_NAME = 'credit_allocation' THEN
        SELECT i.number INTO issued
          FROM (SELECT DISTINCT credit_note AS id FROM added) AS a
         CROSS JOIN LATERAL (SELECT number FROM invoice WHERE id = a.id OFFSET 0) AS i LIMIT 1;
    ELSE
        SELECT i.number INTO issued
          FROM (SELECT DISTINCT invoice AS id FROM added) AS a
         CROSS JOIN LATERAL (SELECT number FROM invoice WHERE id = a.id OFFSET 0) AS i LIMIT 1;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION '% of document % is complete since it was issued: % is refused', TG_TABLE_NAME, issued, TG_OP
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'A correction is a document of its own that names the old one.';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER complete AFTER INSERT ON invoice_line
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION csms_refuse_addition();
CREATE TRIGGER complete AFTER INSERT ON invoice_tax
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION csms_refuse_addition();
CREATE TRIGGER complete AFTER INSERT ON invoice_source
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION csms_refuse_addition();
CREATE TRIGGER complete AFTER INSERT ON credit_allocation
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION csms_refuse_addition();
ALTER TABLE invoice_line ENABLE ALWAYS TRIGGER complete;
ALTER TABLE invoice_tax ENABLE ALWAYS TRIGGER complete;
ALTER TABLE invoice_source ENABLE ALWAYS TRIGGER complete;
ALTER TABLE credit_allocation ENABLE ALWAYS TRIGGER complete;

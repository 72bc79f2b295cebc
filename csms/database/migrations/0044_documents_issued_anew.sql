-- What a document is for may be claimed again by the one that replaces it: after names that document then. It takes all that the
-- key before it took; only who issues a document waits, for some seconds per million rows.
ALTER TABLE invoice_source DROP CONSTRAINT invoice_source_pkey;
ALTER TABLE invoice_source ADD CONSTRAINT invoice_source_pkey PRIMARY KEY (source, after);

-- Documents of which third parties bear a part: invoice runs look for those that nobody was asked for yet.
-- outside a transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS invoice_borne ON invoice (seller, id) WHERE borne_minor <> 0;

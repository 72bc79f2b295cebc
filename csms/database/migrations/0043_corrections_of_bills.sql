-- Correction bills, which are few: who closes a month looks for those that no document shows, without reading all bills.
-- outside a transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS bill_correction ON bill (session, seq) WHERE kind = 'correction';

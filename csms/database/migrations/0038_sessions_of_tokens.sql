-- Sessions by their token: who invoices a customer looks for those of its tokens.
-- outside a transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS session_token ON session (token, started_at) WHERE token IS NOT NULL;

-- What a tariff version says of the stay after the transaction's end (RULES.md 18); its document has no word for it.

ALTER TABLE tariff
    ADD COLUMN idle_after_stop boolean NOT NULL DEFAULT false,
    ADD COLUMN idle_cap_s      integer CHECK (idle_cap_s > 0),
    ADD CHECK (idle_after_stop OR idle_cap_s IS NULL);

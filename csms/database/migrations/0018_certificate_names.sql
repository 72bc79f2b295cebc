-- Whose name a certificate may carry: since when a charge point tells its serial number, and names found without a scan.

-- `serial_since`: from this boot on it has told the `serial` that stands here. Of two that tell one, it is the earlier's.
ALTER TABLE charge_point ADD COLUMN serial_since timestamptz;
UPDATE charge_point SET serial_since = booted_at WHERE serial IS NOT NULL;

CREATE INDEX charge_point_name ON charge_point (lower(id COLLATE "C"));
CREATE INDEX charge_point_serial ON charge_point (lower(serial COLLATE "C"));
CREATE INDEX charge_point_serial_registered ON charge_point (lower(serial_registered COLLATE "C"));

-- The handshake asks for whom a certificate was made, and whether it is revoked.
CREATE INDEX certificate_number ON certificate (number);

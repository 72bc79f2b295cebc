-- How long a node may be silent before the others take it for dead: its own setting, read by whoever looks.
ALTER TABLE node ADD COLUMN lease interval NOT NULL DEFAULT '15 seconds';

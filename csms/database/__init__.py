"""Postgres: embedded or given, migrated, pooled, watched. Knows no table but those of migrations and frames."""

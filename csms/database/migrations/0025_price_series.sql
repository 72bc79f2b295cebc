-- Price series that tariffs may follow, and what a customer charged in a month.

CREATE TABLE price_series (
    name        text PRIMARY KEY CHECK (name <> '' AND length(name) <= 64),
    -- NULL: points of an index, which have no currency.
    currency    char(3),
    created_at  timestamptz NOT NULL DEFAULT now()
);
SELECT csms_append_only('price_series');

-- Values are added, never edited: of several for one begin the newest counts.
CREATE TABLE price_series_value (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    series      text NOT NULL REFERENCES price_series,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL CHECK (ends_at > starts_at),
    value       numeric(18, 6) NOT NULL,
    entered_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX price_series_value_start ON price_series_value (series, starts_at, id DESC);
SELECT csms_append_only('price_series_value');

-- Volume tiers and allowances look at a customer's sessions of a month.
CREATE INDEX session_of_token ON session (token, started_at);
CREATE INDEX token_event_group ON token_event (group_id) WHERE group_id IS NOT NULL;

-- Prices and costs as charge points are told of them.

-- Nodes keep in memory what a token would pay where. They listen, and look again when any of this changes.
CREATE FUNCTION csms_prices_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('csms_prices', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER prices_changed AFTER INSERT ON tariff FOR EACH STATEMENT EXECUTE FUNCTION csms_prices_changed();
CREATE TRIGGER prices_changed AFTER INSERT ON tariff_assignment
    FOR EACH STATEMENT EXECUTE FUNCTION csms_prices_changed();
CREATE TRIGGER prices_changed AFTER INSERT ON location_group_event
    FOR EACH STATEMENT EXECUTE FUNCTION csms_prices_changed();
CREATE TRIGGER prices_changed AFTER UPDATE OF site, product, current, idle_after_stop ON charge_point
    FOR EACH STATEMENT EXECUTE FUNCTION csms_prices_changed();

-- Which final cost of a session its charge point was told, or is being told. seq: the bill; told_at null: on its way
-- since claimed_at. Bills are made in processes that hold no sockets, too, and a node may die with a message in hand.
CREATE TABLE cost_told (
    session     integer PRIMARY KEY REFERENCES session,
    seq         integer NOT NULL CHECK (seq >= 1),
    claimed_at  timestamptz NOT NULL DEFAULT now(),
    told_at     timestamptz,
    status      text CHECK (status <> ''),
    CHECK ((told_at IS NULL) = (status IS NULL))
);

-- Those that were made of late are looked at every few seconds.
CREATE INDEX bill_lasting ON bill (created_at) WHERE kind <> 'interim';

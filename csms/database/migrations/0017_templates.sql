-- OCPP 2.1 as a third version.

-- A charge point that offers no subprotocol may be registered as one of 2.1.
ALTER TABLE charge_point DROP CONSTRAINT charge_point_protocol_check;
ALTER TABLE charge_point ADD CONSTRAINT charge_point_protocol_check
    CHECK (protocol IN ('ocpp1.6', 'ocpp2.0.1', 'ocpp2.1'));

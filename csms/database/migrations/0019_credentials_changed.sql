-- Nodes learn at their next look that a certificate was revoked, or that another name or profile counts: sockets that came
-- in by what counts no longer end.

DROP TRIGGER charge_point_changed ON charge_point;
CREATE TRIGGER charge_point_changed
    BEFORE UPDATE OF site, registration, protocol, strict, template, current, max_power_w, time_zone, quirks_on, quirks_off,
                     security_profile, security_profile_wanted, serial_registered
    ON charge_point FOR EACH ROW EXECUTE FUNCTION csms_charge_point_changed();

CREATE FUNCTION csms_certificate_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE charge_point SET registration = registration
     WHERE id = (SELECT c.charge_point FROM certificate c WHERE c.id = NEW.certificate);
    RETURN NULL;
END $$;
CREATE TRIGGER certificate_revoked
    AFTER INSERT ON certificate_revocation FOR EACH ROW EXECUTE FUNCTION csms_certificate_revoked();

-- Prices are told with the taxes of rules: a rule that is entered, or ends, changes what nodes keep in memory.
CREATE TRIGGER prices_changed AFTER INSERT ON tax_rule FOR EACH STATEMENT EXECUTE FUNCTION csms_prices_changed();
CREATE TRIGGER prices_changed AFTER INSERT ON tax_rule_end FOR EACH STATEMENT EXECUTE FUNCTION csms_prices_changed();

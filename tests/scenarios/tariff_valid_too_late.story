# A tariff that begins after the session did prices nothing of it.
tariff plain (not assigned)
    0.50 EUR/kWh
90 minutes ago  plug in    0.000 kWh
30 minutes ago  unplug    10.000 kWh
operator assigns plain from 1 minutes ago
session
    state  held
    held   no_tariff
no bill

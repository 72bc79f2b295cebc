# A session without a tariff is held, and released by itself when a tariff appears that was valid at its start.
tariff plain (not assigned)
    0.50 EUR/kWh
90 minutes ago  plug in    0.000 kWh
30 minutes ago  unplug    10.000 kWh
session
    state  held
    held   no_tariff
no bill
operator assigns plain from 400 minutes ago
session
    state  rated
    held   by nothing
bill
    10.000 kWh x 0.50  5.00
    total              5.00

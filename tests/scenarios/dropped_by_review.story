tariff plain
    0.50 EUR/kWh
90 minutes ago  plug in with GHOST-0404   0.000 kWh
30 minutes ago  unplug                   10.000 kWh
operator drops a technician's test run
session
    state   dropped
no bill

tariff plain
    0.50 EUR/kWh
90 minutes ago  plug in  900.000 kWh
30 minutes ago  unplug    12.000 kWh
session
    energy  0.000 kWh
    state   held
    held    stop_before_start_register
no bill

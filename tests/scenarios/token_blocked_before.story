tariff plain
    0.50 EUR/kWh
operator blocks CARD-0002
1 minutes ago  plug in with CARD-0002  0.000 kWh
0 minutes ago  stop                    0.300 kWh
session
    state  held
    held   token_unknown
no bill

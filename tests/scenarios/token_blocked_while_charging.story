# What counts is the token's state when the session began.
tariff plain
    0.50 EUR/kWh
60 minutes ago  plug in with CARD-0002   0.000 kWh
40 minutes ago  sample                   3.000 kWh
operator blocks CARD-0002
20 minutes ago  sample                   6.000 kWh
5 minutes ago  unplug                   8.000 kWh
session
    token  CARD-0002
    state  rated
    held   by nothing
bill
    8.000 kWh x 0.50  4.00
    total             4.00

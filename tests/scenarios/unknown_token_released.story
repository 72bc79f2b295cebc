# Energy flowed for a card that nobody knows: held until somebody says what to do.
tariff plain
    0.50 EUR/kWh
90 minutes ago  plug in with GHOST-0404   0.000 kWh
30 minutes ago  unplug                   10.000 kWh
session
    token  GHOST-0404
    state  held
    held   token_unknown
no bill
operator releases the driver called and will pay
session
    state  rated
    held   by nothing
bill
    10.000 kWh x 0.50  5.00
    total              5.00

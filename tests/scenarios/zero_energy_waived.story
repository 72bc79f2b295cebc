# The parking fee is not asked of somebody whose car took nothing.
tariff plain
    0.50 EUR/kWh
    parking 6.00 EUR/h
    fee 1.00 EUR
90 minutes ago  plug in     5.000 kWh
60 minutes ago  car pauses  5.000 kWh
30 minutes ago  unplug      5.000 kWh
session
    energy   0.000 kWh
    state    rated
    held     by nothing
    flagged  zero_energy
    notes    waived
bill
    1 x 1.00           1.00
    0.000 kWh x 0.50   0.00
    0:30:00 h x 6.00   3.00
    total              0.00

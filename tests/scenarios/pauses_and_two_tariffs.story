# Two bands, a pause of the car across the change of price, steps of half a kWh, VAT on top.
however late it arrives
power 22 kW
tariff evening
    08:00-20:00  0.59 EUR/kWh step 500
    20:00-08:00  0.39 EUR/kWh step 500
    parking 1.20 EUR/h
    fee 0.50 EUR
    VAT 19 % on top
2025-03-01 19:00  plug in       100.000 kWh
2025-03-01 19:00  charging      100.000 kWh
2025-03-01 19:40  sample        107.300 kWh
2025-03-01 19:40  car pauses    107.300 kWh
2025-03-01 20:20  sample        107.300 kWh
2025-03-01 20:20  charging      107.300 kWh
2025-03-01 21:00  sample        112.600 kWh
2025-03-01 21:05  unplug        112.700 kWh
session
    energy  12.700 kWh
    state   rated
bill
    1 x 0.50           0.50
    7.300 kWh x 0.59   4.307
    0:40:00 h x 1.20   0.80
    5.700 kWh x 0.39   2.223  # 12.7 kWh are 26 steps of half a kWh: 0.3 kWh more are asked for at the last price
    total              9.32

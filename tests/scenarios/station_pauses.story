# The station withholds the power: that is not the driver's parking.
however late it arrives
power 22 kW
tariff parking
    0.50 EUR/kWh
    parking 6.00 EUR/h
    VAT 19 % on top
2025-03-01 10:00  plug in          0.000 kWh
2025-03-01 10:00  charging         0.000 kWh
2025-03-01 11:00  sample          10.000 kWh
2025-03-01 11:00  station pauses  10.000 kWh
2025-03-01 11:30  stop            10.000 kWh
2025-03-01 11:31  unplug
session
    energy    10.000 kWh
    ended     2025-03-01 11:30
    released  2025-03-01 11:31
    state     rated
    flagged   by nothing
bill
    10.000 kWh x 0.50  5.00
    total              5.95

"""Mistakes that type checkers must find in users' code: each line that ends in `# wrong`, and no other."""

from __future__ import annotations

from pathlib import Path

import autocard
from autocard import AutoCardCallback, RunRecord, attach
from autocard.record import load

autocard.nothing_of_this_name()  # wrong
AutoCardCallback(contry_iso_code="FRA")  # wrong
AutoCardCallback("compact")  # wrong
AutoCardCallback(country_iso_code=33)  # wrong
AutoCardCallback(pue="1.2")  # wrong
AutoCardCallback(facts=["mit"])  # wrong
AutoCardCallback(datasets=3)  # wrong
AutoCardCallback().no_such_method()  # wrong
number: int = attach(object())  # wrong
record: RunRecord = load(Path("autocard.json"))
load(3)  # wrong
kwh: float = record.energy.gpu_kwh  # wrong
print(record.energy.gpu_joules)  # wrong
print(record.hardware.gpus[0].power_w)  # wrong
print(record.run.status + 1)  # wrong
right: float | None = record.energy.gpu_kwh

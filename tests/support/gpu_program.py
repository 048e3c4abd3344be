"""A training program beside stand-in GPUs, which reads the counters of the boards itself.

Usage of the program: FOLDER TESTS GPUS, the number of GPUs that the training uses.
"""

from __future__ import annotations

PROGRAM = """
import json, sys, time
sys.path.insert(0, sys.argv[2])
import warnings
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
import pynvml, torch
from support import training
from transformers import TrainerCallback
from autocard import AutoCardCallback

class OnCuda:
    def __init__(self, args): self.args = args
    def __getattr__(self, name): return getattr(self.args, name)
    device = torch.device("cuda")
    n_gpu = int(sys.argv[3])

class Card(AutoCardCallback):
    def _handle(self, event, args, *rest):
        super()._handle(event, OnCuda(args), *rest)

class Counters(TrainerCallback):
    def read(self):
        return [self.read_one(index) for index in range(pynvml.nvmlDeviceGetCount())]
    def read_one(self, index):
        try:
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByIndex(index))
        except pynvml.NVMLError:
            return 0
    def on_train_begin(self, *_, **__):
        pynvml.nvmlInit()
        self.begin = self.read()
    def on_step_end(self, *_, **__):
        time.sleep(1.7)
    def on_train_end(self, *_, **__):
        self.end = self.read()

class Inner(Counters):
    def on_step_end(self, *_, **__):
        pass

outer, inner = Counters(), Inner()
callbacks = [outer, Card(country_iso_code="FRA", base_model="org/tiny-bert"), inner]
training.trainer(sys.argv[1], callbacks=callbacks).train()
print()
# At least what was spent between its begin and its end, at most with both: true on any machine, however busy.
at_least = [end - begin for begin, end in zip(inner.begin, outer.end)]
at_most = [end - begin for begin, end in zip(outer.begin, inner.end)]
print(json.dumps([at_least, at_most]))
"""

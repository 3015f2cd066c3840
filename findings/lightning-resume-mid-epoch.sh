#!/usr/bin/env bash
# Guess:   fit(ckpt_path=…) from a checkpoint saved in the middle of an epoch trains on the batches not yet seen.
# Seen:    batch numbers go on from where they were, but the data start over: the first batches are trained on twice,
#          and as the epoch ends after its usual number of batches, the last ones are not trained on at all. A warning
#          speaks of "unreliable results"; it doesn't say that data is left out.
# Version: lightning 2.6.6, torch 2.13.0.
# Matters: any run that saves by steps and is resumed (preempted jobs); with one long epoch, the end of the
#          data set may never be read.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile torch==2.13.0 lightning==2.6.6
HOME=$work OMP_NUM_THREADS=1 venv/bin/python - <<'PYTHON'
import logging, sys, warnings
import torch
import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.seen = torch.nn.Linear(1, 1), []

    def training_step(self, batch, number):
        self.seen.append((number, int(batch)))
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3)


def train(checkpoint=None, **limits):
    model = Model()
    saves = ModelCheckpoint(dirpath=".", filename="four", every_n_train_steps=4)
    trainer = L.Trainer(accelerator="cpu", logger=False, callbacks=[saves], enable_progress_bar=False,
                        enable_model_summary=False, **limits)
    loader = DataLoader([torch.tensor([float(i)]) for i in range(10)])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(model, loader, ckpt_path=checkpoint)
    said = [str(w.message) for w in caught if "resum" in str(w.message)]
    return model.seen, said


first, _ = train(max_steps=4)
second, said = train("four.ckpt", max_epochs=1)
print("before the checkpoint, (batch number, item):", first)
print("after resuming:                             ", second)
print("warnings that speak of resuming:", said or "none")
trained = [item for _, item in first + second]
print("items of the epoch never trained on:", sorted(set(range(10)) - set(trained)))
if [number for number, _ in second] != [4, 5, 6, 7, 8, 9] or [item for _, item in second] != [0, 1, 2, 3, 4, 5]:
    sys.exit("no longer seen: the data went on with the batch numbers")
PYTHON

#!/usr/bin/env bash
# Guess:   MAUVE compares two sets of texts: with its seed fixed, the order of the texts is of no importance, and
#          neither is which set is called p and which q.
# Seen:    shuffling the same features moves the score by several hundredths; so do another seed and swapping
#          p and q. Only an exact repetition gives the same number. (1,000 points a side; faiss warns of few points
#          a cluster.)
# Version: mauve-text 0.4.0, faiss-cpu 1.15.1, scikit-learn 1.9.1.
# Matters: tables of MAUVE with one value per system; scores of texts written by several processes, whose order
#          is a matter of chance.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile mauve-text==0.4.0 faiss-cpu==1.15.1 scikit-learn==1.9.1 numpy==2.4.6
HOME=$work OMP_NUM_THREADS=1 venv/bin/python -W ignore - 2> >(grep -v '^WARNING clustering' >&2) <<'PYTHON'
import sys
import mauve
import numpy as np

chance = np.random.default_rng(0)
p = chance.normal(size=(1000, 64)).astype("f")
q = (chance.normal(size=(1000, 64)) + 0.25).astype("f")


def score(p, q, seed=25):
    return round(float(mauve.compute_mauve(p_features=p.copy(), q_features=q.copy(), seed=seed).mauve), 4)


repeated = [score(p, q), score(p, q)]
orders = [score(chance.permutation(p), chance.permutation(q)) for _ in range(6)]
print("the same call twice:            ", repeated)
print("p and q swapped:                ", score(q, p))
print("six orders of the same features:", orders)
print("six seeds:                      ", [score(p, q, seed) for seed in range(6)])
sys.exit(None if repeated[0] == repeated[1] and max(orders) - min(orders) > 0.01 else "no longer seen")
PYTHON

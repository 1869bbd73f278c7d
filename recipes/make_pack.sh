#!/usr/bin/env bash
# A pack to train on: foregrounds rendered here, looked at, and the backgrounds that you bring.
#
#   recipes/make_pack.sh PACK [PER_FAMILY [SIZE [SAMPLES [FIRST_SEED]]]]      8, 768, 64, 200000
#   recipes/make_pack.sh runs/look 1 128 4                                a look at every family, two minutes
#
# Renders PER_FAMILY pictures of each of the families of recipes/render_foregrounds.py (CC0, ours), makes WebP of them in
# PACK/foregrounds and a contact sheet of each family in PACK/sheets. What is there is not rendered again: stop it and
# start it again as you like, and raise PER_FAMILY for more; for a pack beside this one name another FIRST_SEED, 300000
# say, for one seed is one picture. Then put photographs of a licence that you can live with
# into a folder PACK/backgrounds; docs/datasets.md says where ours are from. Cut-outs that a machine made go through
# `recipes/pack_foregrounds.py IN PACK/foregrounds-extra --levels 16 220`.
#
# Hardware: a CPU and Blender 3.4 (Debian: blender). With two cores 30 to 60 s a picture of 768 in the mean, coats and
#           hair several minutes: 136 pictures in one to two hours.
# Expected: about 17 * PER_FAMILY foregrounds, those without anything in or behind them left out by name. The weights
#           in the package have seen 91 pictures of another renderer and about 190 of this one.
set -euo pipefail
pack=$1 each=${2:-8} size=${3:-768} samples=${4:-64}
here=$(dirname "$0")
families=$(python - "$here/render_foregrounds.py" <<'PYTHON'
import ast, sys
tree = ast.parse(open(sys.argv[1], encoding="utf-8").read())
table = next(n.value for n in ast.walk(tree) if isinstance(n, ast.AnnAssign) and n.target.id == "FAMILIES")
print(*(key.value for key in table.keys))
PYTHON
)
mkdir -p "$pack/rendered"
seed=${5:-200000}
for family in $families; do # a thousand seeds each
  blender -b --python-exit-code 1 --python "$here/render_foregrounds.py" -- \
    "$pack/rendered" "$seed" "$each" "$size" "$samples" --family "$family" | grep '^rendered' || [ "${PIPESTATUS[0]}" = 0 ]
  seed=$((seed + 1000))
done
python "$here/pack_foregrounds.py" "$pack/rendered" "$pack/foregrounds"
python "$here/contact_sheet.py" "$pack/sheets" --data "$pack" --drawn 0

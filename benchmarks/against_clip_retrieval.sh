#!/usr/bin/env bash
# Photos/s of `aliens add`, of clip-retrieval 2.45's inference and of a plain loop of open_clip, as whole processes over
# the same photos with the same weights. Makes an environment for each of both, the second in benchmarks/work, at the
# first call: minutes, and some GB where pip takes PyTorch for GPUs (PIP_EXTRA_INDEX_URL can name a place of lighter
# ones). What follows is handed on: see `benchmarks/against_clip_retrieval.sh --help`.
#
#     benchmarks/against_clip_retrieval.sh [--photos 2000] [--rounds 1] [--precision bfloat16]
#     PYTHON=python3.11 benchmarks/against_clip_retrieval.sh          clip-retrieval needs Python 3.9 to 3.12
set -euo pipefail
cd "$(dirname "$0")/.."
theirs=benchmarks/work/clip-retrieval-2.45

fits() { "$1" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 12))' 2> /dev/null; }

[ -x .venv/bin/aliens ] || make install
if [ ! -e "$theirs/installed" ]; then
	for python in ${PYTHON:-python3.11 python3.12 python3.10 python3.9 python3}; do
		if fits "$python"; then break; fi
		python=
	done
	if [ -z "$python" ]; then
		echo "clip-retrieval 2.45 needs Python 3.9 to 3.12, for NumPy 1 and PyArrow 15: install one, or name it by PYTHON=" >&2
		exit 1
	fi
	rm -rf "$theirs"
	"$python" -m venv "$theirs"
	# Its own requirements are ranges, so what pip finds newest within them is what a user of today gets, but for
	# setuptools, of which its CLIP wants a part that newer ones have no more.
	"$theirs/bin/python" -m pip install 'clip-retrieval==2.45.0' 'setuptools<81' >&2
	touch "$theirs/installed"
fi
exec .venv/bin/python benchmarks/against_clip_retrieval.py --clip-retrieval "$theirs" "$@"

"""What is written loads in transformers 4.57 with the same ids: the oldest version that is promised."""

import json
import subprocess
import sys
import venv

import pytest
from foreign.tokenizers import TEXT, WORKING

from rexplug.progress import Silent
from rexplug.recipe.schema import Tokenizer
from rexplug.tokens.tokenizer import make_tokenizer

OLDEST = "transformers==4.57.6"
SCRIPT = """
import json, sys
from transformers import AutoTokenizer
found = {}
for folder in sys.argv[1:]:
    made = AutoTokenizer.from_pretrained(folder)
    special = [made.cls_token_id, made.sep_token_id, made.pad_token_id, made.mask_token_id]
    found[folder] = [made(TEXT)["input_ids"], special, made.model_max_length]
print(json.dumps(found))
"""


@pytest.mark.slow
def test_written_tokenizers_give_the_same_ids_in_transformers_4(tmp_path):
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", OLDEST]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{OLDEST} cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
    folders = {}
    for case in WORKING:
        folder = tmp_path / case.name
        folder.mkdir()
        case.write(folder)
        spec = Tokenizer.model_validate({"from": str(folder)})
        taken = tmp_path / f"taken-{case.name}"
        make_tokenizer(spec, folder, [], seed=1, folder=taken, progress=Silent(), max_length=64)
        folders[str(taken)] = case
    command = [python, "-c", SCRIPT.replace("TEXT", repr(TEXT)), *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr
    for folder, (row, special, longest) in json.loads(done.stdout.splitlines()[-1]).items():
        case = folders[folder]
        assert row == [case.special[0], *case.ids, case.special[1]], case.name
        assert (tuple(special), longest) == (case.special, 64), case.name

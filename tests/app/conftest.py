"""A search desk over the tiny plan, with an untargeted attack beside the targeted ones."""

import pytest
import yaml

from app.__main__ import open_desk
from tests.conftest import CONF


@pytest.fixture(scope="session")
def desk(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("app")
    more = {"attacks": {"HAG": {"class_path": "lightning_modules.attacks.HAGAttack", "init_args": {"iterations": 2}}}}
    (folder / "more.yaml").write_text(yaml.safe_dump(more))
    args = ["--config", str(CONF / "tiny-evaluation.yaml"), "--config", str(folder / "more.yaml")]
    args += ["--output", str(folder), "--datasets.scenes.init_args.cache_dir", str(tiny.data)]
    args += ["--hashers.DPSH.checkpoint", str(tiny.hasher), "--defences.RetPur.init_args.model", str(tiny.ddpm)]
    return open_desk([*args, "--shard_size=1", "--device=cpu"])[0]

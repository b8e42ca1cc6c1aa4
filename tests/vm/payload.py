"""What is handed to the guest: opskit as it stands, the scenarios, and the Python packages they need."""

import compileall
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("typer", "rich", "pygments", "markdown_it", "mdurl", "shellingham", "annotated_doc", "_pytest",
            "pytest", "pluggy", "iniconfig", "packaging", "typing_extensions", "py")  # fmt: skip


def make(directory: Path, selection: str) -> Path:
    """Fill `directory`; `selection` is what pytest in the guest gets, as in `-m quick`."""
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "opskit", directory / "opskit", ignore=skip)
    shutil.copytree(ROOT / "tests" / "vm", directory / "tests" / "vm", ignore=skip)
    shutil.copy(ROOT / "tests" / "__init__.py", directory / "tests")
    (directory / "site").mkdir()
    for package in PACKAGES:
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        if spec.submodule_search_locations is None:
            shutil.copy(spec.origin, directory / "site")
        else:
            shutil.copytree(Path(spec.origin).parent, directory / "site" / package, ignore=skip)
        home = (
            Path(spec.origin).parent if spec.submodule_search_locations is None else Path(spec.origin).parents[1]
        )
        for metadata in home.glob(f"{package}-*.dist-info"):  # pluggy looks up its own version
            shutil.copytree(metadata, directory / "site" / metadata.name)
    (directory / "start.sh").write_text((ROOT / "tests/vm/guest/start.sh").read_text())
    (directory / "settings.sh").write_text(f"SELECTION={shlex.quote(selection)}\n")
    compileall.compile_dir(directory, quiet=1)  # emulation compiles slowly
    return directory

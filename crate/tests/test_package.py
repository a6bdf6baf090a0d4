from importlib import metadata
from pathlib import Path

import neardup


def test_the_extension_is_of_the_installed_version():
    assert neardup.__version__ == metadata.version("neardup")


def test_the_types_are_installed_too():
    installed = {path.name for path in Path(neardup.__file__).parent.iterdir()}
    assert {"py.typed", "_neardup.pyi"} <= installed
